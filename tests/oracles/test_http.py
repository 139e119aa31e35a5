"""A real server on this machine, with every way in which one goes wrong."""

import gzip
import json
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Failure, Fidelity, Objective, evaluate_all
from al_loop.oracles.http import Http
from al_loop.oracles.testing import OracleContract

TOKEN = "s3cret-token-of-the-lab"


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch, tmp_path):
    """No proxy, no home directory, and pauses that cost no time."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setattr("al_loop.oracles._io.http_client._PAUSE_S", 0.001)


class Server:
    """Answers as a function of the request says; keeps all requests."""

    def __init__(self, answer, context=None):
        """answer(request) -> (status, headers, body); a body that is no bytes is sent as JSON; None: hang up."""
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = {
                    "method": self.command,
                    "path": self.path,
                    "headers": self.headers,
                    "body": json.loads(content) if content else None,
                    "handler": self,
                }
                outer.requests.append(request)
                replied = answer(request)
                if replied is None:
                    self.close_connection = True
                    return
                status, headers, body = replied
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST  # noqa: N815  the name that http.server asks for

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *arguments: None  # clients that hang up are what is tested here
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def serve():
    servers = []

    def start(answer, **options):
        servers.append(Server(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def replies(*answers):
    """One after the other, the last one for ever."""
    left = list(answers)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def lengths(request):
    return (
        200,
        {},
        [
            {"value": len(name)} if name.isalpha() else {"failure": "invalid", "reason": "no word"}
            for name in request["body"]["objects"]
        ],
    )


def failure(oracle, *objects):
    (outcome, *_) = evaluate_all(oracle, objects or ["a"])
    return outcome.failure


class TestContract(OracleContract):
    valid = ("a", "abc", "ab")
    invalid = ("", "1 2", 'a,"b"', "line\nbreak", "1é")

    @pytest.fixture(autouse=True)
    def _server(self, serve):
        self.server = serve(lengths)

    def make(self):
        return Http(self.server.url, call_size=4)


# ---- what is sent and read ----------------------------------------------------------------------------------------


def test_the_request_says_objects_keys_and_whatever_the_config_adds(serve):
    server = serve(lambda request: (200, {}, [1, 2]))
    oracle = Http(
        f"{server.url}/score?v=2",
        call_size=2,
        fields={"model": "v2"},
        objects_field="smiles",
        headers={"X-Project": "moon"},
        fidelities={"high": 5.0, "low": 1.0},
    )
    assert oracle.fidelities == (Fidelity("low", 1.0), Fidelity("high", 5.0))
    assert [o.values for o in evaluate_all(oracle, ["b", "a"], Call({"a": "k1", "b": "k2"}))] == [(2.0,), (1.0,)]
    evaluate_all(oracle.at("low"), ["b", "a"])
    first, second = server.requests
    assert (first["method"], first["path"]) == ("POST", "/score?v=2")
    assert first["body"] == {"model": "v2", "smiles": ["a", "b"], "keys": ["k1", "k2"], "fidelity": "high"}
    assert (first["headers"]["X-Project"], first["headers"]["Content-Type"]) == ("moon", "application/json")
    assert second["body"]["fidelity"] == "low"


@pytest.mark.parametrize(
    "answer",
    [
        [[1, 2], [3, 4]],
        {"answers": [[1, 2], [3, 4]]},
        [{"x": 1, "y": 2}, {"x": 3.0, "y": 4}],
        [{"values": [1, 2]}, {"object": "b", "values": [3, 4]}],
    ],
)
def test_answers_have_several_forms(serve, answer):
    server = serve(lambda request: (200, {}, answer))
    oracle = Http(server.url, objectives=["x", Objective("y", goal="minimise")], call_size=2)
    assert [o.values for o in evaluate_all(oracle, ["a", "b"])] == [(1.0, 2.0), (3.0, 4.0)]


@pytest.mark.parametrize("answer", [7, {"value": 7}, {"values": [7]}, [7], {"answers": [{"value": 7}]}])
def test_the_answer_for_one_object_needs_no_list(serve, answer):
    server = serve(lambda request: (200, {}, answer))
    assert evaluate_all(Http(server.url), ["a"])[0].values == (7.0,)


def test_an_answer_carries_cost_noise_facts_and_files(serve):
    rich = {"value": 1, "cost": 2.5, "noise": 0.5, "info": {"a": 1}, "batch": 7, "artifacts": {"pose.sdf": "x"}}
    server = serve(lambda request: (200, {}, [rich, {"value": 2, "value_std": 0.25}]))
    first, second = evaluate_all(Http(server.url, call_size=2), ["a", "b"])
    assert (first.values, first.cost, first.noise, first.artifacts) == ((1.0,), 2.5, (0.5,), {"pose.sdf": b"x"})
    assert first.info == {"a": 1, "batch": 7}
    assert (second.noise, second.info) == ((0.25,), {})


def test_failures_come_with_their_kind_and_reason(serve):
    said = [
        {"failure": "invalid", "reason": "no ring"},
        {"failure": {"kind": "retryable", "reason": "busy"}},
        {"failure": "odd"},
    ]
    server = serve(lambda request: (200, {}, said))
    assert [o.failure for o in evaluate_all(Http(server.url, call_size=3), ["a", "b", "c"])] == [
        Failure("invalid", "no ring"),
        Failure("retryable", "busy"),
        Failure("permanent", "odd: no reason was stated"),
    ]


def test_an_answer_may_be_compressed(serve):
    packed = gzip.compress(b"[3]")
    server = serve(lambda request: (200, {"Content-Encoding": "gzip"}, packed))
    assert evaluate_all(Http(server.url), ["a"])[0].values == (3.0,)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>log in</html>", "no JSON"),
        (b"[1", "no JSON"),
        (b"", "no JSON"),
        (b"\xff\xfe[", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[1]", "1 answers, expected 2"),
        (b"[1, 2, 3]", "3 answers, expected 2"),
        (b"{}", "'answers'"),
        (b"3", "'answers'"),
        (b"[NaN, 1]", "not finite"),
        (b'["many", 1]', "not a number"),
        (b"[null, 1]", "not a number"),
        (b"[[1, 2], 1]", "expected 1"),
        (b'[{"values": [1, 2]}, 1]', "expected 1"),
        (b'[{"value": true}, 1]', "True for value"),
        (b'[{"object": "b", "value": 1}, 1]', "answered for 'b'"),
    ],
)
def test_what_is_no_answer_is_a_permanent_failure(serve, body, reason):
    server = serve(lambda request: (200, {}, body))
    found = failure(Http(server.url, call_size=2), "a", "b")
    assert found.kind == "permanent"
    assert reason in found.reason
    assert len(server.requests) == 1


def test_an_answer_without_end_is_given_up(serve, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client._LIMIT_BYTES", 1_000_000)

    def endless(request):
        handler = request["handler"]
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)

    found = failure(Http(serve(endless).url))
    assert found == Failure("permanent", "the answer is longer than 1 MB")


def test_a_compressed_answer_is_bounded_by_what_it_unpacks_to(serve, monkeypatch):
    monkeypatch.setattr("al_loop.oracles._io.http_client._LIMIT_BYTES", 1_000_000)
    packed = gzip.compress(b" " * 50_000_000)
    server = serve(lambda request: (200, {"Content-Encoding": "gzip"}, packed))
    assert failure(Http(server.url)) == Failure("permanent", "the answer is longer than 1 MB")


# ---- trying again -------------------------------------------------------------------------------------------------


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


def test_the_same_objects_make_the_same_request_in_any_order(serve):
    server = serve(lambda request: (200, {}, [1] * len(request["body"]["objects"])))
    oracle = Http(server.url, call_size=3)
    keys = {"a": "k1", "b": "k2", "c": "k3"}
    for objects in (["a", "b"], ["b", "a"], ["a", "b", "a"], ["a", "c"]):
        evaluate_all(oracle, objects, Call(keys))
    sent = [(request["headers"]["Idempotency-Key"], json.dumps(request["body"])) for request in server.requests]
    assert sent[0] == sent[1] == sent[2]
    assert sent[3][0] != sent[0][0]


def test_outside_of_a_campaign_each_call_has_a_key_of_its_own(serve):
    service = Billing(status(503))
    oracle = Http(serve(service).url)
    evaluate_all(oracle, ["a"])
    evaluate_all(oracle, ["a"])
    assert list(service.billed.values()) == [1, 1]


def test_after_the_last_attempt_the_failure_is_retryable(serve):
    server = serve(status(503))
    found = failure(Http(server.url, attempts=3))
    assert found.kind == "retryable"
    assert "503 Service Unavailable" in found.reason
    assert "not now" in found.reason
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_is_a_retryable_failure():
    with socket.socket() as held:  # bound, but nobody listens
        held.bind(("127.0.0.1", 0))
        found = failure(Http(f"http://127.0.0.1:{held.getsockname()[1]}/x?key={TOKEN}", attempts=2))
    assert found.kind == "retryable"
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
    assert found.kind == "retryable"
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


# ---- refusals, long jobs, redirections ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_request_is_made_again_for_each_object_alone(serve, code):
    def picky(request):
        bad = "bad" in request["body"]["objects"]
        return (code, {}, {"detail": "no molecule"}) if bad else (200, {}, [1.0] * len(request["body"]["objects"]))

    server = serve(picky)
    first, second, third = evaluate_all(Http(server.url, call_size=3), ["a", "bad", "b"])
    assert (first.values, third.values) == ((1.0,), (1.0,))
    assert second.failure.kind == "invalid"
    assert "no molecule" in second.failure.reason
    assert len(server.requests) == 4


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
    assert found.kind == "permanent"
    assert other.url in found.reason
    assert "change url" in found.reason
    assert other.requests == []
    assert len(server.requests) == 1


# ---- the secret ---------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("code", [401, 403])
def test_a_refused_token_is_a_permanent_failure_that_names_the_variable_alone(serve, monkeypatch, code):
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    server = serve(lambda request: (code, {}, {"you sent": request["headers"]["Authorization"]}))
    found = failure(Http(server.url, token_variable="LAB_TOKEN"))
    assert found.kind == "permanent"
    assert "LAB_TOKEN" in found.reason
    assert TOKEN not in found.reason
    assert "Bearer ***" in found.reason


def test_without_a_token_the_remedy_is_named(serve):
    found = failure(Http(serve(locked).url))
    assert found.kind == "permanent"
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
    assert failure(oracle).kind == "permanent"
    assert server.requests == []


def test_passwords_of_the_home_directory_are_not_sent(serve, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    server = serve(lambda request: (200, {}, [1]))
    evaluate_all(Http(server.url), ["a"])
    assert server.requests[0]["headers"]["Authorization"] is None


def test_a_certificate_that_nobody_vouches_for_is_refused(serve, tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = serve(lambda request: (200, {}, [1]), context=context)
    found = failure(Http(server.url))
    assert found.kind == "permanent"
    assert "certificate verify failed" in found.reason
    with pytest.MonkeyPatch.context() as patch:  # the same server, vouched for
        patch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert evaluate_all(Http(server.url), ["a"])[0].values == (1.0,)


# ---- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "ftp://x"}, "https://"),
        ({"url": "x.org/score"}, "https://"),
        ({"url": "https://"}, "https://"),
        ({"url": "https://me:mine@x.org"}, "password"),
        ({"headers": {"authorization": "Bearer x"}}, "token_variable"),
        ({"headers": {"X-API-Key": "x"}}, "token_variable"),
        ({"call_size": 0}, "call_size"),
        ({"attempts": 0}, "attempts"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"poll_s": 0.0}, "poll_s"),
        ({"fields": {"keys": []}}, "keys"),
        ({"objects_field": "keys"}, "keys"),
        ({"objectives": []}, "none"),
        ({"objectives": ["cost"]}, "none of them"),
        ({"fidelities": {"": 1.0}}, "fidelities"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Http(**{"url": "https://x.org", **arguments})


def test_the_room_loads_no_http_library_and_a_missing_one_is_named():
    code = """
import sys, al_loop.oracles.http
assert not {"requests", "urllib3"} & set(sys.modules)
sys.modules["requests"] = None
from al_loop.errors import ConfigError
try:
    al_loop.oracles.http.Http("https://x.org").check()
except ConfigError as error:
    assert 'pip install "requests' in str(error)
else:
    raise SystemExit("nothing was said")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
