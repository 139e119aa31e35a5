"""The way of answers into the ledger, and beside it where the ledger does not take them in time."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.campaign.answer_commits import AnswerCommits, AnswerStores
from al_loop.campaign.evaluation import EvaluationPool, PoolSettings
from al_loop.campaign.executor import OracleWorker
from al_loop.config import Evaluation
from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Candidate, Ledger, Proposal
from al_loop.oracles.base import Call, Objective, Outcome
from al_loop.storage.rescued import RescuedAnswers

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db", patience_s=600) as ledger:
        objectives = (Objective("value"),)
        ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
        yield ledger


def candidates(ledger: Ledger, names: Sequence[str]) -> list[Candidate]:
    return ledger.open_round(0, [Proposal(name, "random") for name in names], seed=0, seconds={}, info={})


class Gated(OracleWorker):
    """A worker whose answers arrive when the gate is open."""

    def __init__(self, number: int, gate: threading.Event) -> None:
        self.name = f"gated-{number}"
        self._gate = gate

    def start(self) -> None:
        pass

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        assert self._gate.wait(300)
        for name in objects:
            yield Outcome((float(len(name)),))

    def close(self) -> None:
        self._gate.set()


def kept(run_dir: Path) -> list[int]:
    path = run_dir / "rescued.jsonl"
    return [json.loads(line)["candidate_id"] for line in path.read_text().splitlines()] if path.exists() else []


def test_on_a_stop_with_a_locked_ledger_all_answers_are_put_beside_at_once(ledger: Ledger, tmp_path: Path) -> None:
    gate = threading.Event()
    workers = [Gated(i, gate) for i in range(6)]
    rescued = RescuedAnswers(tmp_path, "uid")
    pool = EvaluationPool(ledger, workers, PoolSettings(Evaluation(workers=6)), AnswerStores(rescued=rescued))
    batch = candidates(ledger, [f"{i}" * (i + 1) for i in range(6)])
    pool.submit(batch)
    while len(ledger.in_flight()) < 6:
        time.sleep(0.01)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        gate.set()
        while len(pool._commits._in_hand) < 6:
            time.sleep(0.01)
        pool.close()
        assert sorted(kept(tmp_path)) == [c.id for c in batch]
        answers = pool.answers_at_stop
        assert (answers.n_committed, answers.n_kept, answers.n_lost) == (0, 6, 0)
        assert "6 are in" in str(answers)
        assert "rescued.jsonl" in str(answers)
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as again:
        assert RescuedAnswers(tmp_path, "uid").restore(again) == 6
        assert [o.values for o in again.observations()] == [(float(n),) for n in range(1, 7)]


def test_answers_that_the_ledger_takes_after_all_are_kept_no_more(ledger: Ledger, tmp_path: Path) -> None:
    rescued = RescuedAnswers(tmp_path, "uid")
    commits = AnswerCommits(ledger, AnswerStores(rescued=rescued), print)
    first, second = candidates(ledger, ["a", "b"])
    commits.stop_waiting()
    commits.commit(first, Answer(first.id, Outcome((1.0,)), "w", NOW, NOW))
    assert kept(tmp_path) == [first.id]
    rescued.put_beside([Answer(second.id, Outcome((2.0,)), "w", NOW, NOW)])
    answers = commits.account()
    assert (answers.n_committed, answers.n_kept) == (1, 0)
    assert str(answers) == "every answer that arrived is safe (1 in the ledger in this session)"


class _Refusing:
    """A ledger whose database refuses answers with ``info``, or all with values."""

    def __init__(self, ledger: Ledger, what: str) -> None:
        self._ledger, self._what = ledger, what

    def commit_answers(self, answers: Sequence[Answer]) -> list[str | None]:
        for answer in answers:
            bad = "bad" in answer.outcome.info if self._what == "info" else answer.outcome.values == (13.0,)
            if bad:
                cause = sa.exc.DataError("INSERT", {}, Exception("value out of range"))
                raise CampaignError("ledger: value out of range") from cause
        return self._ledger.commit_answers(answers)


@pytest.mark.parametrize(("what", "values"), [("info", (13.0,)), ("values", None)])
def test_an_answer_that_the_database_refuses_is_set_aside_and_the_others_go_on(
    what: str, values: tuple[float, ...] | None, ledger: Ledger, tmp_path: Path
) -> None:
    notes: list[str] = []
    refusing: Ledger = _Refusing(ledger, what)  # type: ignore[assignment]
    commits = AnswerCommits(refusing, AnswerStores(rescued=RescuedAnswers(tmp_path, "uid")), notes.append)
    batch = candidates(ledger, ["a", "b", "c"])
    answers = [
        Answer(c.id, Outcome((v,), info={"bad": 1} if v == 13 else {}), "w", NOW, NOW)
        for c, v in zip(batch, (1.0, 13.0, 3.0), strict=True)
    ]
    assert commits._commit_all(answers) == [None, None, None]
    assert [o.values for o in ledger.observations()] == [(1.0,), values, (3.0,)]
    aside = [json.loads(line) for line in (tmp_path / "rescued-set-aside.jsonl").read_text().splitlines()]
    assert json.loads(aside[0]["line"])["outcome"]["values"] == [13.0]
    assert "value out of range" in notes[0]


def test_calls_that_run_may_finish_before_the_pool_is_closed(ledger: Ledger) -> None:
    gate = threading.Event()

    class Patient(Gated):
        def close(self) -> None:
            assert gate.is_set(), "the worker was ended during its call"

    pool = EvaluationPool(ledger, [Patient(0, gate)], PoolSettings(Evaluation(workers=1)))
    pool.submit(candidates(ledger, ["a", "b"]))
    while not pool.n_running:
        time.sleep(0.01)
    threading.Timer(0.3, gate.set).start()
    pool.close(finish_calls=True)
    assert [o.values for o in ledger.observations()] == [(1.0,)]
    assert [c.object for c in ledger.pending()] == ["b"]
    assert pool.answers_at_stop.n_committed == 1
