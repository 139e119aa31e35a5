import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from al_loop import evaluation
from al_loop.config import Evaluation
from al_loop.evaluation import EvaluationPool
from al_loop.execution import CallTimeout, OracleWorker, WorkerLost
from al_loop.ledger import Candidate, Ledger, Proposal
from oracles.base import Objective, Outcome


class Scripted(OracleWorker):
    """A worker that does for each object what its name says."""

    def __init__(self, number: int = 0) -> None:
        self.name = f"scripted-{number}"
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.is_closed = False

    def start(self) -> None:
        pass

    def call(self, objects: Sequence[str], timeout_s: float) -> list[Outcome]:
        self.calls += objects
        return [self._answer(o) for o in objects]

    def _answer(self, name: str) -> Outcome:
        n = self.calls.count(name)
        if name.startswith("lost") or (name.startswith("once") and n == 1):
            raise WorkerLost("exit code -9")
        if name.startswith("slow"):
            raise CallTimeout
        if name.startswith("later") and n == 1:
            return Outcome.failed("retryable", "busy")
        if name.startswith("bad"):
            return Outcome.failed("invalid", "not an object")
        if name.startswith("wait") and not self.gate.wait(20):
            raise AssertionError("nobody opened the gate")
        return Outcome(values=(float(len(name)),), cost=7.0 if name.startswith("dear") else None)

    def close(self) -> None:
        self.is_closed = True
        self.gate.set()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(evaluation, "_BACKOFF_S", 0.01)
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="t", config={}, fingerprint="f", seed=0, objectives=(Objective("value"),), versions={}
        )
        yield ledger


def candidates(ledger: Ledger, *names: str) -> list[Candidate]:
    batch = [Proposal(object=n, origin="random") for n in names]
    return ledger.open_round(0, batch, seed=0, seconds={}, info={})


def measure(ledger: Ledger, *names: str, attempts: int = 2, call_size: int = 1) -> Scripted:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], Evaluation(attempts=attempts, cost=2.0), call_size)
    pool.submit(candidates(ledger, *names))
    pool.wait()
    pool.close()
    return worker


def test_each_answer_is_committed_with_its_cost(ledger: Ledger) -> None:
    measure(ledger, "a", "dear")
    assert [(e.values, e.cost) for e in ledger.evaluations()] == [((1.0,), 2.0), ((4.0,), 7.0)]


def test_a_lost_worker_and_a_retryable_failure_are_tried_again(ledger: Ledger) -> None:
    worker = measure(ledger, "once", "later")
    assert sorted(worker.calls) == ["later", "later", "once", "once"]
    assert [(e.values, e.attempts) for e in ledger.evaluations()] == [((4.0,), 2), ((5.0,), 2)]


def test_after_the_last_attempt_the_failure_is_the_answer(ledger: Ledger) -> None:
    worker = measure(ledger, "lost", attempts=3)
    assert worker.calls == ["lost"] * 3
    assert ledger.evaluations()[0].failure_kind == "retryable"
    assert "exit code -9" in (ledger.evaluations()[0].reason or "")


def test_a_timeout_and_an_invalid_object_are_not_tried_again(ledger: Ledger) -> None:
    worker = measure(ledger, "slow", "bad")
    assert worker.calls == ["slow", "bad"]
    assert [e.failure_kind for e in ledger.evaluations()] == ["timeout", "invalid"]


def test_a_call_takes_as_many_objects_as_the_oracle_allows(ledger: Ledger) -> None:
    measure(ledger, "a", "bb", "ccc", call_size=2)
    assert [e.values for e in ledger.evaluations()] == [(1.0,), (2.0,), (3.0,)]


def test_answers_are_committed_while_the_campaign_does_something_else(ledger: Ledger) -> None:
    workers = [Scripted(0), Scripted(1)]
    arrived = threading.Event()
    pool = EvaluationPool(ledger, workers, Evaluation(), on_answer=lambda candidate, outcome: arrived.set())
    pool.submit(candidates(ledger, "wait", "a"))
    assert arrived.wait(20)
    assert [e.values for e in ledger.evaluations()] == [(1.0,)]
    assert pool.n_open == 1
    pool.wait(n_open=1)
    for worker in workers:
        worker.gate.set()
    pool.wait()
    assert len(ledger.evaluations()) == 2
    pool.close()


def test_what_is_submitted_twice_is_called_once(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], Evaluation())
    batch = candidates(ledger, "wait")
    pool.submit(batch)
    pool.submit(batch)
    worker.gate.set()
    pool.wait()
    pool.close()
    assert worker.calls == ["wait"]


def test_closing_ends_the_workers_and_leaves_the_rest_pending(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], Evaluation())
    pool.submit(candidates(ledger, "wait", "a", "b"))
    pool.close()
    assert worker.is_closed
    assert len(ledger.pending()) >= 2


def test_an_answer_that_cannot_be_committed_stops_the_campaign(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    pool = EvaluationPool(ledger, [Scripted()], Evaluation())
    monkeypatch.setattr(ledger, "commit_answer", full)
    pool.submit(candidates(ledger, "a"))
    with pytest.raises(OSError, match="no space left"):
        pool.wait()
    pool.close()
