import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from al_loop.campaign import evaluation
from al_loop.campaign.evaluation import AnswerStores, EvaluationPool, PoolSettings
from al_loop.campaign.executor import CallTimeout, OracleWorker, WorkerLost
from al_loop.config import Budget, Evaluation
from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Candidate, Ledger, Proposal
from al_loop.oracles.base import Call, Objective, Outcome
from al_loop.storage.rescued import RescuedAnswers


class Scripted(OracleWorker):
    """A worker that does for each object what its name says."""

    def __init__(self, number: int = 0) -> None:
        self.name = f"scripted-{number}"
        self.calls: list[str] = []
        self.sizes: list[int] = []
        self.keys: dict[str, str] = {}
        self.gate = threading.Event()
        self.is_closed = False

    def start(self) -> None:
        pass

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        self.sizes.append(len(objects))
        self.keys.update(call.keys)
        for name in objects:
            self.calls.append(name)
            yield self._answer(name)

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
        if name.startswith("wait") and not self.gate.wait(300):
            raise AssertionError("nobody opened the gate")
        return Outcome(values=(float(len(name)),), cost=7.0 if name.startswith("dear") else None)

    def close(self) -> None:
        self.is_closed = True
        self.gate.set()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="t", config={}, fingerprint="f", seed=0, objectives=(Objective("value"),), versions={}
        )
        yield ledger


def candidates(ledger: Ledger, *names: str) -> list[Candidate]:
    batch = [Proposal(object=n, origin="random") for n in names]
    return ledger.open_round(0, batch, seed=0, seconds={}, info={})


def measure(ledger: Ledger, *names: str, attempts: int = 2, **changes: Any) -> Scripted:
    worker = Scripted()
    calls = Evaluation(attempts=attempts, cost=2.0, backoff_s=0.01, stop_after_failures=3)
    pool = EvaluationPool(ledger, [worker], PoolSettings(calls, **changes))
    pool.submit(candidates(ledger, *names))
    try:
        pool.wait()
    finally:
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
    pool = EvaluationPool(
        ledger, workers, PoolSettings(Evaluation()), on_answer=lambda candidate, outcome, seconds: arrived.set()
    )
    pool.submit(candidates(ledger, "wait", "a"))
    assert arrived.wait(300)
    assert [e.values for e in ledger.evaluations()] == [(1.0,)]
    assert pool.n_open == 1
    pool.wait(lambda: pool.n_open <= 1)
    for worker in workers:
        worker.gate.set()
    pool.wait()
    assert len(ledger.evaluations()) == 2
    pool.close()


def test_what_is_submitted_twice_is_called_once(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation()))
    batch = candidates(ledger, "wait")
    pool.submit(batch)
    pool.submit(batch)
    worker.gate.set()
    pool.wait()
    pool.close()
    assert worker.calls == ["wait"]


def test_closing_ends_the_workers_and_leaves_the_rest_pending(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation()))
    pool.submit(candidates(ledger, "wait", "a", "b"))
    pool.close()
    assert worker.is_closed
    assert len(ledger.pending()) >= 2


def test_a_retried_object_costs_each_of_its_calls(ledger: Ledger) -> None:
    measure(ledger, "later")
    assert [(e.attempts, e.cost) for e in ledger.evaluations()] == [(2, 4.0)]


def test_each_answer_is_committed_before_the_next_of_its_call_is_known(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation(), call_size=3))
    pool.submit(candidates(ledger, "a", "wait", "bb"))
    pool.wait(lambda: pool.n_open <= 2)
    assert [e.values for e in ledger.evaluations()] == [(1.0,)]
    worker.gate.set()
    pool.wait()
    pool.close()
    assert worker.sizes == [3]


def test_what_shared_a_call_with_a_fatal_object_is_measured_by_itself(ledger: Ledger) -> None:
    worker = measure(ledger, "a", "lost", "bb", "slow", call_size=4, attempts=2)
    answers = {c.object: e for c, e in zip(ledger.candidates(), ledger.evaluations(), strict=True)}
    assert answers["a"].values == (1.0,)
    assert answers["bb"].values == (2.0,)
    assert answers["lost"].failure_kind == "retryable"
    assert answers["slow"].failure_kind == "timeout"
    assert worker.calls.count("a") == 1
    assert worker.sizes[0] == 4
    assert set(worker.sizes[1:]) == {1}


def test_while_an_object_waits_for_its_second_call_others_are_measured(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation(backoff_s=1000.0)))
    pool.submit(candidates(ledger, "later", "a", "bb"))
    pool.wait(lambda: pool.n_open <= 1)
    pool.close()
    assert worker.calls == ["later", "a", "bb"]


def test_an_object_has_one_key_in_all_its_calls_and_in_no_other_campaign(ledger: Ledger, tmp_path: Path) -> None:
    worker = measure(ledger, "later", "a")
    first = dict(worker.keys)
    assert len(set(first.values())) == 2
    with Ledger(f"sqlite:///{tmp_path}/other.db") as other:
        other.begin_campaign(
            name="t", config={}, fingerprint="f", seed=0, objectives=(Objective("value"),), versions={}
        )
        assert set(measure(other, "later", "a").keys.values()).isdisjoint(first.values())


def test_a_budget_of_calls_is_not_exceeded_and_the_rest_stays_pending(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation(backoff_s=0.0), budget=Budget(calls=3)))
    pool.submit(candidates(ledger, "later", "a", "bb", "ccc"))
    assert pool.wait()
    assert pool.is_spent
    pool.close()
    assert len(worker.calls) == ledger.n_calls() == 3
    assert len(ledger.pending()) == 2
    again = Scripted()
    pool = EvaluationPool(ledger, [again], PoolSettings(Evaluation(), budget=Budget(calls=3)))
    pool.submit(ledger.pending())
    assert pool.wait()
    pool.close()
    assert again.calls == []


def test_a_budget_of_cost_counts_what_the_oracle_says_that_a_call_cost(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation(cost=2.0), budget=Budget(cost=10.0)))
    pool.submit(candidates(ledger, "dear", "a", "bb", "ccc"))
    assert pool.wait()
    pool.close()
    assert worker.calls == ["dear", "a"]
    assert ledger.cost() == 9.0


def test_an_oracle_that_fails_for_everything_stops_the_campaign_with_the_reason(ledger: Ledger) -> None:
    with pytest.raises(CampaignError, match=r"3 objects in a row \(3 invalid\).*not an object.*stop_after_failures"):
        measure(ledger, "bad1", "bad2", "bad3", "bad4", "bad5")
    assert len(ledger.evaluations()) == 3


def test_a_value_between_failures_shows_that_the_oracle_works(ledger: Ledger) -> None:
    measure(ledger, "bad1", "bad2", "a", "bad3", "bad4")
    assert len(ledger.evaluations()) == 5


def test_an_answer_that_somebody_told_meanwhile_is_found_and_not_paid_for(ledger: Ledger) -> None:
    worker = Scripted()
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation()))
    batch = candidates(ledger, "wait", "told")
    pool.submit(batch)
    now = datetime.now(UTC)
    ledger.commit_told([Answer(batch[1].id, Outcome((7.0,)), "told", now, now)], [], {})
    pool.wait(lambda: pool.n_open <= 1)
    worker.gate.set()
    pool.wait()
    pool.close()
    assert worker.calls == ["wait"]
    assert [e.values for e in ledger.evaluations()] == [(4.0,), (7.0,)]


def test_a_second_answer_to_the_same_object_is_told_and_not_taken(ledger: Ledger) -> None:
    worker, notes = Scripted(), []
    pool = EvaluationPool(ledger, [worker], PoolSettings(Evaluation()), on_note=notes.append)
    batch = candidates(ledger, "wait")
    pool.submit(batch)
    while not worker.calls:
        time.sleep(0.01)
    now = datetime.now(UTC)
    ledger.commit_told([Answer(batch[0].id, Outcome((7.0,)), "told", now, now)], [], {})
    worker.gate.set()
    pool.wait()
    pool.close()
    assert [e.values for e in ledger.evaluations()] == [(7.0,)]
    assert "already has an answer" in notes[0]
    assert "4.0" in notes[0]


def test_without_workers_answers_come_from_elsewhere(ledger: Ledger) -> None:
    pool = EvaluationPool(ledger, [], PoolSettings(Evaluation()))
    batch = candidates(ledger, "a", "b")
    pool.submit(batch)
    now = datetime.now(UTC)
    ledger.commit_told([Answer(c.id, Outcome((1.0,)), "told", now, now) for c in batch], [], {})
    assert not pool.wait()
    assert pool.n_values == 2
    pool.close()


def test_answers_that_the_ledger_never_takes_are_kept_until_the_next_start(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise CampaignError("no space left on device")

    rescued = RescuedAnswers(tmp_path, "uid")
    pool = EvaluationPool(ledger, [Scripted()], PoolSettings(Evaluation(cost=3.0)), AnswerStores(rescued=rescued))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "commit_answers", full)
        pool.submit(candidates(ledger, "abc"))
        with pytest.raises(CampaignError, match=r"no space left.*1 answer is kept in .*rescued\.jsonl"):
            pool.wait()
        pool.close()
    assert ledger.evaluations() == []
    assert RescuedAnswers(tmp_path, "uid").restore(ledger) == 1
    assert [(e.values, e.cost) for e in ledger.evaluations()] == [((3.0,), 3.0)]
    assert RescuedAnswers(tmp_path, "uid").restore(ledger) == 0


def test_many_workers_commit_together(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    commit = ledger.commit_answers

    def counting(answers: Sequence[Answer]) -> list[str | None]:
        commits.append(len(answers))
        time.sleep(0.02)
        return commit(answers)

    monkeypatch.setattr(ledger, "commit_answers", counting)
    pool = EvaluationPool(ledger, [Scripted(i) for i in range(16)], PoolSettings(Evaluation()))
    pool.submit(candidates(ledger, *(f"n{i}" for i in range(64))))
    pool.wait()
    pool.close()
    assert sum(commits) == len(ledger.evaluations()) == 64
    assert len(commits) < 40


def test_an_own_answer_that_is_seen_in_the_ledger_first_is_still_the_pools_own(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = ledger.commit_answers

    def slow(answers: Sequence[Answer]) -> list[str | None]:
        done = commit(answers)
        time.sleep(0.7)
        return done

    monkeypatch.setattr(evaluation, "_LOOK_S", 0.0)
    monkeypatch.setattr(ledger, "commit_answers", slow)
    told: list[Outcome | None] = []
    pool = EvaluationPool(
        ledger,
        [Scripted()],
        PoolSettings(Evaluation()),
        on_answer=lambda candidate, outcome, seconds: told.append(outcome),
    )
    pool.submit(candidates(ledger, "abc"))
    pool.wait()
    pool.close()
    assert [outcome and outcome.values for outcome in told] == [(3.0,)]
