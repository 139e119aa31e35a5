"""The ledger against a model of it: any order of rounds, calls, answers, corrections, decisions, kills and copies."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Ledger
from al_loop.oracles.base import Outcome
from al_loop.storage.ledger_head import LedgerHead
from tests.support.ledgers import START, begin, open_round

pytestmark = pytest.mark.slow

VALUES = st.floats(-1e6, 1e6, allow_nan=False)


class LedgerMachine(RuleBasedStateMachine):
    """Does the same to a ledger and to a few dictionaries, and compares them after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="al-loop-model-"))
        self.n_copies = self.n_objects = self.clock = 0
        self.candidates: dict[int, int] = {}  # the round of each
        self.answers: dict[int, list[float | None]] = {}  # all revisions; None is a failure
        self.asked_again: dict[int, int] = {}  # the revision after which
        self.calls: dict[int, list[int]] = {}  # the number of answers at each call
        self.vetoed: set[int] = set()
        self.approved: set[int] = set()
        self.closed = -1
        self.last = -1
        self.n_numbers = 0
        self.ledger = self._open(self.folder / "ledger.db")
        begin(self.ledger)

    def _open(self, path: Path) -> Ledger:
        ledger = Ledger(f"sqlite:///{path}")
        ledger.watch(LedgerHead(path.parent).write)
        return ledger

    def _outcome(self, value: float | None) -> Outcome:
        return Outcome.failed("permanent", "broken") if value is None else Outcome((value,), cost=1.0)

    def _answer(self, id_: int, value: float | None) -> Answer:
        self.clock += 1
        now = START + timedelta(seconds=self.clock)
        return Answer(id_, self._outcome(value), "w", now, now)

    def is_open(self, id_: int) -> bool:
        n = len(self.answers.get(id_, []))
        return id_ not in self.vetoed and (n == 0 or self.asked_again.get(id_) == n)

    # -- steps

    @precondition(lambda self: self.closed == self.last)
    @rule(n=st.integers(1, 4))
    def open_next_round(self, n: int) -> None:
        names = [f"C{self.n_objects + i}" for i in range(n)]
        self.n_objects += n
        for candidate in open_round(self.ledger, self.last + 1, *names):
            self.candidates[candidate.id] = candidate.round
        self.last += 1

    @precondition(lambda self: self.closed < self.last)
    @rule()
    def close_round(self) -> None:
        self.ledger.close_round(self.last, metrics={"best": 1.0}, seconds={})
        self.closed = self.last

    @precondition(lambda self: self.candidates)
    @rule(data=st.data())
    def begin_call(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from([*self.candidates, 999]))
        if id_ in self.candidates and self.is_open(id_):
            numbers = self.ledger.begin_attempts([id_], "w")
            self.calls.setdefault(id_, []).append(len(self.answers.get(id_, [])))
            assert numbers == {id_: len(self.calls[id_])}
        else:
            with pytest.raises(CampaignError):
                self.ledger.begin_attempts([id_], "w")

    @precondition(lambda self: self.candidates)
    @rule(data=st.data(), value=st.none() | VALUES, is_repeated=st.booleans())
    def commit(self, data: st.DataObject, value: float | None, is_repeated: bool) -> None:
        id_ = data.draw(st.sampled_from([*self.candidates, 999]))
        answer = self._answer(id_, value)
        was_open = id_ in self.candidates and self.is_open(id_)
        (refusal,) = self.ledger.commit_answers([answer])
        assert (refusal is None) == was_open
        if was_open:
            self.answers.setdefault(id_, []).append(value)
            self.n_numbers += 1
            if is_repeated:  # as after a lost connection
                assert self.ledger.commit_answers([answer]) == [None]

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), value=VALUES)
    def correct(self, data: st.DataObject, value: float) -> None:
        id_ = data.draw(st.sampled_from(list(self.answers)))
        self.ledger.commit_told([], [self._answer(id_, value)], {})
        self.answers[id_].append(value)
        self.n_numbers += 1

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(list(self.answers)))
        n = len(self.answers[id_])
        if self.answers[id_][-1] is None and self.asked_again.get(id_) != n:
            self.ledger.retry([id_], reason="", by="ada")
            self.asked_again[id_] = n
            self.n_numbers += 1
        else:
            with pytest.raises(CampaignError):
                self.ledger.retry([id_], reason="", by="ada")

    @precondition(lambda self: self.candidates)
    @rule(data=st.data())
    def veto(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(list(self.candidates)))
        is_possible = (
            self.candidates[id_] == self.last
            and self.last not in self.approved
            and id_ not in self.vetoed
            and id_ not in self.answers
            and id_ not in self.calls
        )
        if is_possible:
            self.ledger.decide(self.last, vetoes={id_: "no"}, pins={}, approve=False, by="ada")
            self.vetoed.add(id_)
        else:
            with pytest.raises(CampaignError):
                self.ledger.decide(self.last, vetoes={id_: "no"}, pins={}, approve=False, by="ada")

    @rule(how=st.sampled_from(["close", "kill", "checkpoint and copy"]))
    def begin_anew(self, how: str) -> None:
        """Go on with what is on the disk: after a clean end, after a kill, or with a copy of the file alone."""
        self.n_copies += 1
        copy = self.folder / f"copy-{self.n_copies}"
        copy.mkdir()
        path = Path(self.ledger.url.removeprefix("sqlite:///"))
        if how == "close":
            self.ledger.close()
        if how == "checkpoint and copy":
            self.ledger.checkpoint()
        for name in ("ledger.db", "ledger-head.json", *(["ledger.db-wal"] if how == "kill" else [])):
            if (source := path.with_name(name)).exists():
                shutil.copy(source, copy)
        self.ledger.close()
        self.ledger = self._open(copy / "ledger.db")
        assert LedgerHead(copy).compare(self.ledger) == ""

    # -- what must hold after each

    @invariant()
    def agrees(self) -> None:
        ledger = self.ledger
        assert ledger.n_answers() == self.n_numbers
        assert {c.id for c in ledger.pending()} == {i for i in self.candidates if self.is_open(i)}
        latest: dict[int, Any] = {i: v[-1] for i, v in self.answers.items() if self.asked_again.get(i) != len(v)}
        found = {o.candidate_id: None if o.values is None else o.values[0] for o in ledger.observations()}
        assert found == latest
        assert ledger.n_calls() == sum(map(len, self.calls.values()))
        # a call counts as in flight while no answer has come since it began
        open_calls = {
            i: sum(n == len(self.answers.get(i, [])) for n in self.calls[i]) for i in self.calls if self.is_open(i)
        }
        assert {c.id: n for c, n in ledger.in_flight().items()} == {i: n for i, n in open_calls.items() if n}
        assert ledger.cost() == sum(v is not None for values in self.answers.values() for v in values)

    def teardown(self) -> None:
        assert self.ledger.findings() == []
        self.ledger.close()
        shutil.rmtree(self.folder)


LedgerMachine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestLedgerAgainstAModel = LedgerMachine.TestCase
