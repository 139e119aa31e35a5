"""Oracle calls, answers and corrections, on SQLite and PostgreSQL alike."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Outcome
from tests.support.ledgers import (
    START,
    answer,
    begin_attempt,
    open_round,
)


def test_an_answer_comes_back_as_it_went_in(ledger: Ledger) -> None:
    a, b, c = open_round(ledger, 0, "A", "B", "C")
    assert begin_attempt(ledger, a.id, "w0") == 1
    assert begin_attempt(ledger, a.id, "w1") == 2
    answer(ledger, a.id, Outcome((0.1 + 0.2,), cost=2.5, info={"conformer": 3}), worker="w1")
    answer(ledger, c.id, Outcome.failed("timeout", "more than 60 s\x00"))
    first, second = ledger.evaluations()
    assert first.values == (0.1 + 0.2,)
    assert (first.cost, first.seconds, first.worker, first.attempts) == (2.5, 1.5, "w1", 2)
    assert (first.started, first.info) == (START, {"conformer": 3})
    assert second.failure is not None
    assert (second.failure.kind, second.failure.reason, second.attempts) == ("timeout", "more than 60 s", 0)
    assert [(o.object, o.values, o.failure, o.round) for o in ledger.observations()] == [
        ("A", (0.1 + 0.2,), None, 0),
        ("C", None, "timeout", 0),
    ]
    assert ledger.pending() == [b]
    assert ledger.cost() == 2.5


def test_an_answer_with_odd_parts_is_kept(ledger: Ledger) -> None:
    a, b, c = open_round(ledger, 0, "A", "B", "C")
    info = {"path": Path("/tmp"), "tensor": object(), "nan": float("nan"), 3: {1, 2}, "text": "\ud800\x00"}
    answer(ledger, a.id, Outcome((1.0,), cost=float("nan"), info=info))  # type: ignore[arg-type]
    answer(ledger, b.id, Outcome((float("nan"),)))
    answer(ledger, c.id, Outcome((1.0, 2.0)))
    first, second, third = ledger.evaluations()
    assert first.values == (1.0,)
    assert first.cost is None
    assert set(first.info) == {"path", "tensor", "nan", "3", "text"}
    assert "/tmp" in first.info["path"]
    assert second.failure is not None
    assert third.failure is not None
    assert second.failure.kind == third.failure.kind == "permanent"


def test_a_candidate_is_answered_once(ledger: Ledger) -> None:
    (a,) = open_round(ledger, 0, "A")
    answer(ledger, a.id)
    answer(ledger, a.id)  # the very same answer again, as after a lost connection
    with pytest.raises(CampaignError, match="already has an answer"):
        answer(ledger, a.id, Outcome((5.0,)))
    with pytest.raises(CampaignError, match="already has an answer"):
        begin_attempt(ledger, a.id, "w0")
    with pytest.raises(CampaignError, match="not in the ledger"):
        answer(ledger, 99)
    with pytest.raises(CampaignError, match="not in the ledger"):
        begin_attempt(ledger, 99, "w0")
    assert [e.values for e in ledger.evaluations()] == [(4.8,)]


def test_a_time_without_zone_is_a_bug(ledger: Ledger) -> None:
    (a,) = open_round(ledger, 0, "A")
    naive = START.replace(tzinfo=None)
    with pytest.raises(Exception, match="no time zone"):
        ledger.commit_answers([Answer(a.id, Outcome((1.0,)), "w", naive, naive)])
    assert ledger.pending() == [a]


def test_answers_that_arrive_together_are_committed_together(ledger: Ledger) -> None:
    a, b, c = open_round(ledger, 0, "A", "B", "C")
    assert ledger.begin_attempts([a.id, c.id], "w1") == {a.id: 1, c.id: 1}
    assert ledger.begin_attempts([a.id, b.id], "w2") == {a.id: 2, b.id: 1}
    answer(ledger, c.id, Outcome((3.0,)))
    later = START + timedelta(seconds=2)
    group = [
        Answer(a.id, Outcome((1.0,)), "w1", START, later),
        Answer(c.id, Outcome((9.0,)), "w1", START, later),
        Answer(b.id, Outcome.failed("invalid", "no"), "w2", START, later),
        Answer(b.id, Outcome((2.0,)), "w2", START, later),
        Answer(99, Outcome((2.0,)), "w2", START, later),
    ]
    refused = ledger.commit_answers(group)
    assert [reason is None for reason in refused] == [True, False, True, False, False]
    assert "candidate 3 already has an answer" in (refused[1] or "")
    assert "candidate 99 is not in the ledger" in (refused[4] or "")
    assert [(e.values, e.attempts) for e in ledger.evaluations()] == [((1.0,), 2), (None, 1), ((3.0,), 1)]
    assert ledger.commit_answers(group[:1]) == [None], "the very same answer may be committed again"
    assert ledger.n_calls() == 4


def test_answers_are_numbered_and_count_for_the_round_that_is_open(ledger: Ledger) -> None:
    a, b, c = open_round(ledger, 0, "A", "B", "C")
    answer(ledger, b.id)
    ledger.close_round(0, metrics={}, seconds={})
    answer(ledger, a.id)
    (d,) = open_round(ledger, 1, "D")
    answer(ledger, d.id)
    answer(ledger, c.id)
    rows = {e.candidate_id: (e.number, e.arrived) for e in ledger.evaluations()}
    assert rows == {b.id: (1, 0), a.id: (2, 1), d.id: (3, 1), c.id: (4, 1)}
    assert [o.object for o in ledger.observations(until=2)] == ["A", "B"]
    assert ledger.n_answers() == 4
    assert ledger.answered_since(2) == (4, {d.id: True, c.id: True})
    assert ledger.answered_since(4) == (4, {})


def test_noise_and_artifacts_come_back_as_they_went_in(ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    answer(ledger, a.id, Outcome((1.5,), noise=(0.25,), artifacts={"pose.pdbqt": "ATOM"}))
    answer(ledger, b.id, Outcome((1.5,)))
    first, second = ledger.evaluations()
    assert (first.noise, second.noise) == ((0.25,), None)
    digest = hashlib.sha256(b"ATOM").hexdigest()
    assert (first.artifacts, second.artifacts) == ({"pose.pdbqt": {"bytes": 4, "sha256": digest}}, {})
    assert [o.noise for o in ledger.observations()] == [(0.25,), None]


def test_a_correction_takes_the_place_of_an_answer_and_leaves_it_readable(ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    answer(ledger, a.id, Outcome((1.0,)))

    def told(candidate_id: int, value: float, second: int) -> Answer:
        return Answer(candidate_id, Outcome((value,)), "me", START, START + timedelta(seconds=second))

    with pytest.raises(CampaignError, match="candidate 2 has no answer to correct"):
        ledger.commit_told([], [told(a.id, 2.0, 5), told(b.id, 3.0, 5)], {})
    assert [e.values for e in ledger.evaluations()] == [(1.0,)]
    ledger.commit_told([told(b.id, 3.0, 6)], [told(a.id, 2.0, 6)], {"X": told(0, 4.0, 6)})
    ledger.commit_told([], [told(a.id, 2.5, 7)], {})
    assert [(e.values, e.revision) for e in ledger.evaluations()] == [((2.5,), 2), ((3.0,), 0), ((4.0,), 0)]
    history = ledger.evaluations(has_all_revisions=True)
    assert [e.values for e in history if e.candidate_id == a.id] == [(1.0,), (2.0,), (2.5,)]
    assert [o.values for o in ledger.observations(until=4)] == [(2.0,), (3.0,), (4.0,)]
    assert [(c.object, c.origin, c.position) for c in ledger.candidates()][-1] == ("X", "told", 2)
    assert ledger.pending() == []


def test_bounds_and_missing_objectives_come_back(ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    answer(ledger, a.id, Outcome((4.0,), censored=("<",)))
    answer(ledger, b.id)
    assert [e.censored for e in ledger.evaluations()] == [("<",), None]
    assert [o.censored for o in ledger.observations()] == [("<",), None]


def test_earlier_data_spend_nothing(ledger: Ledger) -> None:
    batch = [Proposal("A", "imported"), Proposal("B", "random")]
    imported, own = ledger.open_round(0, batch, seed=0, seconds={}, info={})
    for candidate in (imported, own):
        begin_attempt(ledger, candidate.id)
        answer(ledger, candidate.id, Outcome((1.0,), cost=2.0))
    assert (ledger.n_calls(), ledger.cost()) == (1, 2.0)
