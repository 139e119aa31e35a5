"""Opening and closing rounds, on SQLite and PostgreSQL alike."""

import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError
from al_loop.ledger import Candidate, Ledger, Proposal
from tests.support.ledgers import answer, engine_of, open_round


def test_a_batch_comes_back_as_it_went_in(ledger: Ledger) -> None:
    batch = [
        Proposal("CCO", "sampler", 1.25, 0.1, -2.0),
        Proposal("N" * 9000, "random"),
        Proposal("Ω≡π", "sampler", float("nan"), float("inf"), float("-inf")),
    ]
    candidates = ledger.open_round(0, batch, seed=2**64 - 1, seconds={"fit": 1.5}, info={"lengthscale": [1, 2]})
    assert candidates[0] == Candidate(1, 0, 0, "CCO", "sampler", 1.25, 0.1, -2.0)
    assert candidates[2] == Candidate(3, 0, 2, "Ω≡π", "sampler")
    assert ledger.candidates() == ledger.pending() == candidates
    assert ledger.known_objects() == {"CCO", "N" * 9000, "Ω≡π"}
    (round_,) = ledger.rounds()
    assert (round_.seed, round_.seconds, round_.info) == (2**64 - 1, {"fit": 1.5}, {"lengthscale": [1, 2]})
    assert round_.closed is None


def test_a_refused_batch_leaves_nothing(ledger: Ledger) -> None:
    open_round(ledger, 0, "A", "B")
    for objects, reason in [(("C", "B"), "earlier round.*'B'"), (("C", "D", "C"), "twice"), ((), "empty")]:
        with pytest.raises(CampaignError, match=reason):
            open_round(ledger, 1, *objects)
    assert ledger.known_objects() == {"A", "B"}
    assert ledger.last_round() == 0
    assert [c.id for c in open_round(ledger, 1, "C", "D")] == [3, 4]


def test_a_batch_cut_off_half_way_leaves_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    @sa.event.listens_for(engine_of(ledger), "before_cursor_execute")
    def cut(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith("INSERT INTO candidates"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_round(ledger, 0, "A", "B")
    sa.event.remove(engine_of(ledger), "before_cursor_execute", cut)
    assert ledger.last_round() is None
    assert ledger.candidates() == []
    open_round(ledger, 0, "A", "B")


def test_rounds_are_opened_in_order_and_closed_once(ledger: Ledger) -> None:
    with pytest.raises(CampaignError, match="next round of this ledger is 0"):
        open_round(ledger, 1, "A")
    open_round(ledger, 0, "A")
    with pytest.raises(CampaignError, match="next round of this ledger is 1"):
        open_round(ledger, 0, "B")
    assert not ledger.is_closed(0)
    ledger.close_round(0, metrics={"top": 1.0, "rank": float("nan"), "deep": [float("inf")]}, seconds={"oracle": 2})
    assert ledger.is_closed(0)
    assert ledger.rounds()[0].metrics == {"top": 1.0, "rank": None, "deep": [None]}
    with pytest.raises(CampaignError, match="closed already"):
        ledger.close_round(0, metrics={}, seconds={})
    with pytest.raises(CampaignError, match="never opened"):
        ledger.close_round(7, metrics={}, seconds={})


def test_one_object_may_be_proposed_at_several_fidelities(ledger: Ledger) -> None:
    batch = [Proposal("A", "random", fidelity="low"), Proposal("A", "random", fidelity="high")]
    candidates = ledger.open_round(0, batch, seed=0, seconds={}, info={})
    assert [c.fidelity for c in ledger.pending()] == ["low", "high"]
    answer(ledger, candidates[0].id)
    assert [(o.object, o.fidelity) for o in ledger.observations()] == [("A", "low")]
    with pytest.raises(CampaignError, match="earlier round already: 'A'"):
        ledger.open_round(1, [Proposal("A", "random", fidelity="low")], seed=0, seconds={}, info={})
    ledger.open_round(1, [Proposal("A", "random", fidelity="middle")], seed=0, seconds={}, info={})


def test_a_replicate_is_a_candidate_of_its_own(ledger: Ledger) -> None:
    first = Proposal("A", "pool", details={"id": "Z-17", "price": 2.5})
    ledger.open_round(0, [first, Proposal("A", "pool", replicate=1)], seed=0, seconds={}, info={})
    assert [(c.replicate, c.details) for c in ledger.candidates()] == [(0, first.details), (1, None)]
    again = Proposal("A", "pool", replicate=1)
    with pytest.raises(CampaignError, match="proposed in an earlier round already: 'A'"):
        ledger.open_round(1, [again], seed=0, seconds={}, info={})
    ledger.open_round(1, [Proposal("A", "pool", replicate=2)], seed=0, seconds={}, info={})
    assert len({hash(c) for c in ledger.candidates()}) == 3


def test_what_a_library_says_about_an_object_holds_no_control_sequence(ledger: Ledger) -> None:
    details = {"vendor\x1b]0;title\x07": "Chem\x1b[31mCo\r", "price": 2.5}
    ledger.open_round(0, [Proposal("A", "pool", details=details)], seed=1, seconds={}, info={})
    assert [c.details for c in ledger.candidates()] == [{"vendor": "ChemCo\\x0d", "price": 2.5}]
