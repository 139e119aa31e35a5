"""Whose failure it is."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from al_loop.campaign.oracle_call import CallResult
from al_loop.campaign.oracle_health import OracleHealth, Ruling
from al_loop.campaign.task_queue import Task
from al_loop.config import Evaluation
from al_loop.ledger import Candidate
from al_loop.oracles.base import FailureKind, Outcome

NOW = datetime(2026, 11, 3, tzinfo=UTC)
SETTINGS = Evaluation(attempts=1, backoff_s=0.0, patience_s=100.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose only entry is the time, in seconds."""
    now = [1000.0]
    monkeypatch.setattr("al_loop.campaign.oracle_health.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def result(id_: int, kind: FailureKind | None, reason: str = "no", *, has_crashed: bool = False) -> CallResult:
    outcome = Outcome((1.0,)) if kind is None else Outcome.failed(kind, reason)
    return CallResult(Task(Candidate(id_, 0, id_, f"O{id_}", "random")), outcome, "w", NOW, NOW, has_crashed)


def judged(health: OracleHealth, *results: CallResult) -> Ruling:
    """Return the ruling on the last of some results; those before are held back."""
    for held in results[:-1]:
        assert health.judge(held) == Ruling()
    return health.judge(results[-1])


@pytest.mark.parametrize("has_measured", [False, True])
def test_what_is_missing_for_all_objects_stops_the_campaign_at_once(has_measured: bool) -> None:
    failed = result(1, "environment", "no module named vina")
    ruling = OracleHealth(SETTINGS, has_measured).judge(failed)
    assert (ruling.answers, ruling.void) == ((), [failed])
    assert "no module named vina" in str(ruling.error)
    assert "run the same command again" in str(ruling.error)


@pytest.mark.parametrize("kind", ["permanent", "retryable"])
def test_the_same_failure_of_all_objects_is_the_oracles(kind: FailureKind) -> None:
    results = [result(i, kind, f"boom, see logs/oracle-{i}.log") for i in range(5)]
    ruling = judged(OracleHealth(SETTINGS, has_measured=False), *results)
    assert (ruling.answers, ruling.void) == ((), results)
    assert "the first 5 objects all failed in the same way (boom" in str(ruling.error)


def test_of_a_small_batch_all_objects_are_enough() -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    assert judged(health, result(1, "permanent"), result(2, "permanent")) == Ruling()
    assert "the first 2 objects" in str(health.conclude().error)
    assert health.judge(result(1, "permanent")) == Ruling()
    assert len(health.conclude().answers) == 1  # of one object nothing is known


def test_failures_that_differ_are_the_objects() -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    results = [result(i, "permanent", f"no charge for O{i}") for i in range(5)]
    assert judged(health, *results).answers == results
    assert health.judge(results[0]).answers == [results[0]]


def test_a_value_shows_that_the_failures_before_it_are_the_objects() -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    results = [result(1, "permanent"), result(2, "permanent"), result(3, None)]
    assert judged(health, *results).answers == results
    assert health.judge(result(4, "permanent")).error is None


@pytest.mark.parametrize("kind", ["invalid", "timeout"])
def test_what_only_an_object_can_be_is_an_answer(kind: FailureKind) -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    for i in range(9):
        assert len(health.judge(result(i, kind)).answers) == 1


def test_values_that_are_none_are_the_objects() -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    for i in range(9):
        assert len(health.judge(result(i, "permanent", "the oracle returned nan, which is not finite")).answers) == 1


def test_whoever_expects_failures_gets_them_as_answers() -> None:
    health = OracleHealth(Evaluation(attempts=1, stop_after_failures=None), has_measured=False)
    for i in range(9):
        assert len(health.judge(result(i, "permanent")).answers) == 1


def test_a_service_that_was_never_there_stops_the_campaign() -> None:
    ruling = OracleHealth(SETTINGS, has_measured=False).judge(result(1, "unavailable", "connection refused"))
    assert "connection refused" in str(ruling.error)


def test_a_service_that_is_down_is_waited_for_by_one_call_at_a_time(clock: list[float]) -> None:
    health = OracleHealth(SETTINGS, has_measured=True)
    first, second = result(1, "unavailable", "connection refused"), result(2, "unavailable")
    ruling = health.judge(first)
    assert (ruling.again, ruling.void, ruling.error) == ([(first.task, 0.0)], [first], None)
    assert "nothing is lost" in ruling.note
    assert health.judge(second).note == ""
    assert health.pause_s(0) is not None
    clock[0] += 1.0
    assert health.pause_s(1) is not None
    assert health.pause_s(0) is None
    assert health.judge(result(1, None)).error is None
    assert health.pause_s(3) is None


def test_pauses_grow_until_the_patience_ends(clock: list[float]) -> None:
    health = OracleHealth(SETTINGS, has_measured=True)
    pauses = []
    while (ruling := health.judge(result(1, "unavailable"))).error is None:
        pauses.append(health.pause_s(0) or 0.0)
        clock[0] += pauses[-1]
    assert pauses[:3] == pytest.approx([0.05, 0.1, 0.2])
    assert sum(pauses) == pytest.approx(100.0)
    assert len(pauses) < 20
    assert "has been unavailable for 100 s" in str(ruling.error)


def test_objects_that_fail_in_passing_one_after_the_other_are_an_outage() -> None:
    health = OracleHealth(SETTINGS, has_measured=True)
    alone = result(1, "retryable")
    assert health.judge(alone).answers == [alone]
    others = result(2, "retryable")
    assert health.judge(others).again == [(others.task, 0.0)]
    assert health.is_down


def test_objects_that_crash_the_oracle_are_no_outage() -> None:
    health = OracleHealth(SETTINGS, has_measured=True)
    for i in range(5):
        assert len(health.judge(result(i, "retryable", has_crashed=True)).answers) == 1


def test_passing_failures_before_the_first_value_are_tried_again() -> None:
    health = OracleHealth(SETTINGS, has_measured=False)
    busy = result(1, "retryable")
    value = result(2, None)
    ruling = judged(health, busy, value)
    assert (ruling.answers, ruling.again) == ([value], [(busy.task, 0.0)])
    assert busy.task.n_failed == 0
