"""Requests to a real server on this machine, and the outcomes read from its answers."""

import json
import subprocess
import sys

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles.base import Call, Failure, Fidelity, Objective, evaluate_all
from al_loop.oracles.http import Http
from al_loop.oracles.testing import OracleContract


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


# ---- what is sent and read ------------------------------------------------------------------------------------------


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
        [{"object": "b", "values": [3, 4]}, {"object": "a", "values": [1, 2]}],
        {"b": [3, 4], "a": {"x": 1, "y": 2}},
        {"answers": {"b": {"values": [3, 4]}, "a": [1, 2]}},
    ],
)
def test_answers_have_several_forms(serve, answer):
    server = serve(lambda request: (200, {}, answer))
    oracle = Http(server.url, objectives=["x", Objective("y", goal="minimise")], call_size=2)
    assert [o.values for o in evaluate_all(oracle, ["a", "b"])] == [(1.0, 2.0), (3.0, 4.0)]


@pytest.mark.parametrize(
    "answer", [7, {"value": 7}, {"values": [7]}, [7], {"answers": [{"value": 7}]}, {"a": 7}, {"answers": {"a": [7]}}]
)
def test_the_answer_for_one_object_needs_no_list(serve, answer):
    server = serve(lambda request: (200, {}, answer))
    assert evaluate_all(Http(server.url), ["a"])[0].values == (7.0,)


def test_times_beyond_what_timers_take_are_as_good_as_endless(serve):
    server = serve(lambda request: (200, {}, [1]))
    assert evaluate_all(Http(server.url, timeout_s=1e12, poll_s=1e12), ["a"])[0].values == (1.0,)


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
        Failure("permanent", "odd: no reason was given"),
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>log in</html>", "not JSON"),
        (b"[1", "not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe[", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "1 answer, expected 2"),
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
    server = serve(lambda request: (200, {}, [1]))
    oracle = Http(server.url)
    evaluate_all(oracle, ["a"])
    evaluate_all(oracle, ["a"])
    first, second = (request["body"]["keys"] for request in server.requests)
    assert first != second


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


# ---- arguments ------------------------------------------------------------------------------------------------------


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
