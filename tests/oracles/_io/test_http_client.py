"""Requests to a real server on this machine: retries, long jobs, redirections, and the secret."""

import gzip
import json
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Failure, evaluate_all
from al_loop.oracles.http import Http

pytestmark = pytest.mark.usefixtures("no_surroundings")

TOKEN = "s3cret-token-of-the-lab"


def failure(oracle, *objects):
    (outcome, *_) = evaluate_all(oracle, objects or ["a"])
    return outcome.failure


def test_an_answer_may_be_compressed(serve):
    packed = gzip.compress(b"[3]")
    server = serve(lambda request: (200, {"Content-Encoding": "gzip"}, packed))
    assert evaluate_all(Http(server.url), ["a"])[0].values == (3.0,)


def test_an_answer_without_end_is_given_up(serve, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client._MAX_ANSWER_BYTES", 1_000_000)

    def endless(request):
        handler = request["handler"]
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    found = failure(Http(serve(endless).url))
    assert found == Failure("permanent", "the answer is longer than 1 MB")


def test_a_compressed_answer_is_bounded_by_what_it_unpacks_to(serve, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client._MAX_ANSWER_BYTES", 1_000_000)
    packed = gzip.compress(b" " * 50_000_000)
    server = serve(lambda request: (200, {"Content-Encoding": "gzip"}, packed))
    assert failure(Http(server.url)) == Failure("permanent", "the answer is longer than 1 MB")


# ---- trying again ---------------------------------------------------------------------------------------------------


class Billing:
    """A service that bills each key once, and remembers what it answered."""

    def __init__(self, *faults):
        self.faults, self.billed = list(faults), {}

    def __call__(self, request):
        for key in request["body"]["keys"]:
            self.billed[key] = self.billed.get(key, 0) + (key not in self.billed)
        fault = self.faults.pop(0) if self.faults else None
        return fault(request) if fault else (200, {}, [1.0] * len(request["body"]["objects"]))


def hang_up(request):
    return None


def break_off(request):
    handler = request["handler"]
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"[1")
    return None


def break_off_in_a_chunk(request):
    handler = request["handler"]
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"4\r\n[1.0\r\n")
    return None


def status(code, **headers):
    return lambda request: (code, headers, {"title": "not now"})


@pytest.mark.parametrize(
    "fault",
    [hang_up, break_off, break_off_in_a_chunk, *map(status, (408, 409, 425, 429, 500, 502, 503, 504))],
    ids=["hang up", "break off", "break off in a chunk", "408", "409", "425", "429", "500", "502", "503", "504"],
)
def test_a_fault_that_may_pass_is_tried_again_with_the_same_key_and_billed_once(serve, fault):
    service = Billing(fault, fault)
    server = serve(service)
    outcomes = evaluate_all(Http(server.url, call_size=2), ["a", "b"], Call({"a": "k1", "b": "k2"}))
    assert [o.values for o in outcomes] == [(1.0,), (1.0,)]
    assert len(server.requests) == 3
    assert len({request["headers"]["Idempotency-Key"] for request in server.requests}) == 1
    assert len({json.dumps(request["body"]) for request in server.requests}) == 1
    assert service.billed == {"k1": 1, "k2": 1}


def test_the_key_is_a_structured_string(serve):
    """Idempotency-Key: "8e03978e-40d5-43e8-bc93-6894a57f9324" is the draft's own example."""
    server = serve(lambda request: (200, {}, [1] * len(request["body"]["objects"])))
    oracle = Http(server.url, call_size=2)
    for key in ("8e03978e-40d5-43e8-bc93-6894a57f9324", 'a"b\\c', "é"):
        evaluate_all(oracle, ["a"], Call({"a": key}))
    sent = [request["headers"]["Idempotency-Key"] for request in server.requests]
    assert sent[:2] == ['"8e03978e-40d5-43e8-bc93-6894a57f9324"', r'"a\"b\\c"']
    assert len(sent[2]) == 66
    assert [request["body"]["keys"] for request in server.requests][2] == ["é"]


@pytest.mark.parametrize(
    ("code", "kind"), [(500, "retryable"), (409, "retryable"), (429, "unavailable"), (503, "unavailable")]
)
def test_after_the_last_attempt_the_failure_is_one_that_may_pass(serve, code, kind):
    server = serve(status(code))
    found = failure(Http(server.url, attempts=3))
    assert found.kind == kind
    assert f"the service answered {code} " in found.reason
    assert "not now" in found.reason
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_is_unavailable():
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        found = failure(Http(f"http://127.0.0.1:{held.getsockname()[1]}/x?key={TOKEN}", attempts=2))
    assert found.kind == "unavailable"
    assert "refused" in found.reason
    assert TOKEN not in found.reason


@pytest.mark.parametrize(
    "said", ["0", format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)], ids=["seconds", "date"]
)
def test_retry_after_is_honoured(serve, said, monkeypatch):
    monkeypatch.setattr(
        "al_loop.oracles._io.http_client._PAUSE_S", 1e6
    )  # beyond timeout_s, were it not for what the service says
    service = Billing(status(429, **{"Retry-After": said}))
    assert evaluate_all(Http(serve(service).url), ["a"])[0].values == (1.0,)


@pytest.mark.parametrize(
    "said",
    ["3600", format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True), "9" * 400],
    ids=["seconds", "date", "forever"],
)
def test_nobody_waits_longer_than_the_time_limit(serve, said, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client.time.sleep", lambda seconds: pytest.fail(f"waits {seconds} s"))
    found = failure(Http(serve(status(429, **{"Retry-After": said})).url))
    assert found.kind == "unavailable"
    assert "beyond timeout_s" in found.reason


def test_pauses_grow(serve, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client._PAUSE_S", 1.0)
    waited = []
    monkeypatch.setattr("al_loop.oracles._io.http_client.time.sleep", waited.append)
    failure(Http(serve(status(503)).url, attempts=8))
    assert len(waited) == 7
    for wait, most in zip(waited, [1, 2, 4, 8, 16, 30, 30], strict=True):
        assert most / 2 <= wait <= most


@pytest.mark.parametrize("kind", ["silent", "drops"])
def test_a_service_that_takes_too_long_is_a_timeout(serve, kind):
    released = threading.Event()

    def hang(request):
        handler = request["handler"]
        if kind == "drops":  # each read is answered in time, the whole never
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
            while not released.wait(0.05):
                handler.wfile.write(b" ")
        released.wait()

    found = failure(Http(serve(hang).url, timeout_s=0.5))
    released.set()
    assert found.kind == "timeout"
    assert "0.5 s" in found.reason


# ---- refusals, long jobs, redirections ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [402, 404, 405, 410, 501])
def test_other_answers_are_permanent_failures(serve, code):
    server = serve(status(code))
    assert failure(Http(server.url)).kind == "permanent"
    assert len(server.requests) == 1


def test_a_long_job_is_asked_for_until_it_is_done(serve):
    """Asking goes on after a fault, without starting the job again."""
    polls = [
        (202, {}, b""),
        None,
        (503, {}, b""),
        (202, {"Location": "/jobs/1b", "Retry-After": "0"}, b""),
        (200, {}, [5]),
    ]

    def job(request):
        if request["method"] == "POST":
            return 202, {"Location": "/jobs/1"}, {"state": "queued"}
        return polls.pop(0)

    server = serve(job)
    assert evaluate_all(Http(f"{server.url}/start", poll_s=0.01), ["a"])[0].values == (5.0,)
    assert [r["path"] for r in server.requests] == ["/start", *["/jobs/1"] * 4, "/jobs/1b"]
    assert [r["method"] for r in server.requests] == ["POST", *["GET"] * 5]


def test_the_attempts_of_a_long_job_are_counted_anew_whenever_it_is_at_work(serve):
    polls = [(503, {}, b""), (202, {}, b""), (503, {}, b""), (202, {}, b""), (503, {}, b""), (200, {}, [5])]
    server = serve(lambda request: (202, {"Location": "/1"}, b"") if request["method"] == "POST" else polls.pop(0))
    assert evaluate_all(Http(server.url, attempts=2, poll_s=0.01), ["a"])[0].values == (5.0,)


def test_a_long_job_that_is_never_done_is_a_timeout(serve):
    server = serve(lambda request: (202, {"Location": "/jobs/1"}, b""))
    assert failure(Http(server.url, poll_s=0.01, timeout_s=0.5)).kind == "timeout"


@pytest.mark.parametrize(("code", "method"), [(307, "POST"), (308, "POST"), (303, "GET")])
def test_redirections_within_the_server_are_followed(serve, code, method):
    def moved(request):
        return (code, {"Location": "/new"}, b"") if request["path"] == "/old" else (200, {}, [1])

    server = serve(moved)
    assert evaluate_all(Http(f"{server.url}/old"), ["a"])[0].values == (1.0,)
    assert [r["method"] for r in server.requests] == ["POST", method]


def test_redirections_without_end_are_given_up(serve):
    server = serve(lambda request: (307, {"Location": request["path"] + "x"}, b""))
    found = failure(Http(server.url))
    assert found.kind == "permanent"
    assert "redirects more than 5 times" in found.reason


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308, 202])
def test_another_server_gets_neither_token_nor_objects(serve, monkeypatch, code):
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    other = serve(lambda request: (200, {}, [1]))
    server = serve(lambda request: (code, {"Location": f"{other.url}/new"}, b""))
    found = failure(Http(server.url, token_variable="LAB_TOKEN"))
    assert found.kind == "environment"
    assert other.url in found.reason
    assert "change url" in found.reason
    assert other.requests == []
    assert len(server.requests) == 1


# ---- the secret -----------------------------------------------------------------------------------------------------


def locked(request):
    right = request["headers"]["Authorization"] == f"Bearer {TOKEN}"
    return (200, {}, [1]) if right else (401, {}, {"you sent": str(request["headers"]["Authorization"])})


def test_the_token_comes_from_the_environment_and_stays_there(serve, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", TOKEN + "\n")  # as `export LAB_TOKEN="$(cat file)"` may leave it
    oracle = Http(serve(locked).url, token_variable="LAB_TOKEN")
    oracle.check()
    assert evaluate_all(oracle, ["a"])[0].values == (1.0,)
    assert TOKEN not in repr(vars(oracle)) + repr(oracle._service)


def test_a_token_may_go_into_a_header_of_another_name(serve, monkeypatch):
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    server = serve(lambda request: (200, {}, [1]))
    evaluate_all(Http(server.url, token_variable="LAB_TOKEN", token_header="X-Api-Key"), ["a"])
    assert (server.requests[0]["headers"]["X-Api-Key"], server.requests[0]["headers"]["Authorization"]) == (TOKEN, None)


@pytest.mark.parametrize(("code", "kind"), [(401, "environment"), (403, "permanent")])
def test_a_refused_token_is_a_failure_that_names_the_variable_alone(serve, monkeypatch, code, kind):
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    server = serve(lambda request: (code, {}, {"you sent": request["headers"]["Authorization"]}))
    found = failure(Http(server.url, token_variable="LAB_TOKEN"))
    assert found.kind == kind
    assert "LAB_TOKEN" in found.reason
    assert TOKEN not in found.reason
    assert "Bearer ***" in found.reason


def test_without_a_token_the_remedy_is_named(serve):
    found = failure(Http(serve(locked).url))
    assert found.kind == "environment"
    assert "token_variable" in found.reason


@pytest.mark.parametrize("code", [200, 400, 500])
def test_a_service_that_repeats_the_token_does_not_bring_it_into_the_ledger(serve, monkeypatch, code):
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    server = serve(lambda request: (code, {}, [{"value": 1, "info": {"sent": request["headers"]["Authorization"]}}]))
    (outcome,) = evaluate_all(Http(server.url, token_variable="LAB_TOKEN", attempts=1), ["a"])
    assert TOKEN not in repr(outcome)
    assert "***" in repr(outcome)


@pytest.mark.parametrize("value", [None, "", "  ", "two\nlines", "käse"])
def test_a_token_that_is_missing_or_none_is_seen_before_anything_is_sent(serve, monkeypatch, value):
    server = serve(locked)
    oracle = Http(server.url, token_variable="LAB_TOKEN")
    monkeypatch.delenv("LAB_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("LAB_TOKEN", value)
    with pytest.raises(ConfigError, match="LAB_TOKEN") as raised:
        oracle.check()
    assert (value or "x").strip() not in str(raised.value) or not (value or "").strip()
    assert failure(oracle).kind == "environment"
    assert server.requests == []


def test_passwords_of_the_home_directory_are_not_sent(serve, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    server = serve(lambda request: (200, {}, [1]))
    evaluate_all(Http(server.url), ["a"])
    assert server.requests[0]["headers"]["Authorization"] is None


def certified(folder):
    """Return an SSL context with a certificate of its own, which is written to a folder."""
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(serve, tmp_path):
    context = certified(tmp_path)
    server = serve(lambda request: (200, {}, [1]), context=context)
    found = failure(Http(server.url))
    assert found.kind == "environment"
    assert "certificate verify failed" in found.reason
    with pytest.MonkeyPatch.context() as patch:  # the same server, vouched for
        patch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert evaluate_all(Http(server.url), ["a"])[0].values == (1.0,)


@pytest.mark.parametrize("part", ["status", "header", "body"])
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_an_answer_that_arrives_byte_by_byte_ends_by_the_time_limit(part, is_encrypted, serve, tmp_path, monkeypatch):
    ended = threading.Event()

    def drip(request):
        connection = request["handler"].connection
        parts = {"status": b"HTTP/1.1 2", "header": b"HTTP/1.1 200 OK\r\nX-A: ", "body": b"HTTP/1.1 200 OK\r\n\r\n["}
        try:
            connection.sendall(parts[part])
            while not ended.wait(0.05):
                connection.sendall(b"0")
        except OSError:
            return

    context = None
    if is_encrypted:
        context = certified(tmp_path)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    began = time.monotonic()
    found = failure(Http(serve(drip, context=context).url, timeout_s=0.5, attempts=1))
    ended.set()
    assert found.kind == "timeout"
    assert "within 0.5 s (timeout_s)" in found.reason
    assert time.monotonic() - began < 20  # on a busy machine; without a limit it never ends
