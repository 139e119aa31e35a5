"""Asking again for failures, and void calls, on SQLite and PostgreSQL alike."""

import pytest

from al_loop.errors import CampaignError
from al_loop.ledger import Candidate, Ledger
from al_loop.oracles.base import Outcome
from tests.support.ledgers import answer, begin_attempt, open_round

FAILED = Outcome.failed("permanent", "no licence")


@pytest.fixture
def failed(ledger: Ledger) -> Candidate:
    """Return a candidate that failed, beside one with a value."""
    a, b = open_round(ledger, 0, "A", "B")
    begin_attempt(ledger, a.id)
    answer(ledger, a.id, FAILED)
    answer(ledger, b.id)
    return a


def test_a_failure_asked_again_is_pending_until_its_next_answer(ledger: Ledger, failed: Candidate) -> None:
    ledger.retry([failed.id], reason="there is a licence now", by="ada")
    assert ledger.pending() == [failed]
    assert ledger.in_flight() == {}
    assert [o.object for o in ledger.observations()] == ["B"]
    assert [e.candidate_id for e in ledger.evaluations()] == [2]
    (retry,) = ledger.retries()
    assert (retry.candidate_id, retry.revision, retry.number, retry.by) == (failed.id, 0, 3, "ada")
    assert begin_attempt(ledger, failed.id) == 2
    assert ledger.in_flight() == {failed: 1}
    answer(ledger, failed.id, Outcome((7.0,)), worker="w1")
    assert ledger.pending() == []
    assert ledger.in_flight() == {}
    assert [o.values for o in ledger.observations()] == [(7.0,), (4.8,)]
    assert [(e.candidate_id, e.revision, e.number) for e in ledger.evaluations(has_all_revisions=True)] == [
        (failed.id, 0, 1),
        (failed.id, 1, 4),
        (2, 0, 2),
    ]


def test_an_earlier_state_is_without_the_retry(ledger: Ledger, failed: Candidate) -> None:
    before, number = ledger.observations(), ledger.n_answers()
    ledger.retry([failed.id], reason="", by="ada")
    assert ledger.observations(until=number) == before
    assert [o.object for o in ledger.observations(until=ledger.n_answers())] == ["B"]
    answer(ledger, failed.id, Outcome((7.0,)), worker="w1")
    assert [o.object for o in ledger.observations(until=number + 1)] == ["B"]


def test_a_failure_can_be_asked_again_after_each_answer(ledger: Ledger, failed: Candidate) -> None:
    for worker in ("w1", "w2", "w3"):
        ledger.retry([failed.id], reason="", by="ada")
        answer(ledger, failed.id, FAILED, worker=worker)
        answer(ledger, failed.id, FAILED, worker=worker)  # the very same answer again, as after a lost connection
    assert ledger.pending() == []
    assert [e.revision for e in ledger.evaluations()] == [3, 0]
    ledger.retry([failed.id], reason="", by="ada")
    ledger.commit_answers([])
    assert ledger.pending() == [failed]


def test_only_failures_are_asked_again_and_only_once(ledger: Ledger, failed: Candidate) -> None:
    with pytest.raises(CampaignError, match="candidate 2 did not fail"):
        ledger.retry([failed.id, 2], reason="", by="ada")
    assert ledger.retries() == []
    ledger.retry([failed.id], reason="", by="ada")
    with pytest.raises(CampaignError, match="candidate 1 has no answer"):
        ledger.retry([failed.id], reason="", by="ada")


def test_void_calls_are_neither_counted_nor_in_flight(ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    numbers = ledger.begin_attempts([a.id, b.id], "w0")
    ledger.void_attempts([(a.id, numbers[a.id])], "no licence file")
    ledger.void_attempts(numbers.items(), "no licence file")
    assert ledger.n_calls() == 0
    assert ledger.in_flight() == {}
    assert ledger.pending() == [a, b]
    assert begin_attempt(ledger, a.id) == 2
    assert (ledger.n_calls(), ledger.in_flight()) == (1, {a: 1})
