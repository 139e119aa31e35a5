"""Short functions that fill ledgers with a campaign, rounds and answers, and marks for the databases of a test."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.engine import Engine

from al_loop.errors import CampaignError
from al_loop.ledger import Answer, Candidate, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome

GAP = Objective("gap", "eV", "maximise")
START = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)

#: for tests with the fixture ``url`` or ``ledger``, which otherwise run on both databases
sqlite_only = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


def begin(ledger: Ledger, **changes: object) -> bool:
    """Begin the campaign of every test, with some of its arguments changed."""
    campaign = {
        "name": "demo",
        "config": {"oracle": {"kind": "xtb"}, "rounds": 5},
        "fingerprint": "f1",
        "seed": 2**100,
        "objectives": [GAP],
        "versions": {"al-loop": "0.1.0"},
    }
    return ledger.begin_campaign(**{**campaign, **changes})  # type: ignore[arg-type]


def open_round(ledger: Ledger, number: int, *objects: str) -> list[Candidate]:
    """Open a round with a batch of objects."""
    batch = [Proposal(o, "random") for o in objects]
    return ledger.open_round(number, batch, seed=number, seconds={"fit": 0.5}, info={"beta": 8})


def begin_attempt(ledger: Ledger, candidate_id: int, worker: str = "w0") -> int:
    """Record one oracle call; return its number."""
    return ledger.begin_attempts([candidate_id], worker)[candidate_id]


def answer(
    ledger: Ledger,
    candidate_id: int,
    outcome: Outcome | None = None,
    *,
    worker: str = "w0",
    started: datetime = START,
    finished: datetime = START + timedelta(seconds=1.5),
) -> None:
    """Commit one answer.

    Raises:
        CampaignError: the ledger refuses it.
    """
    (refusal,) = ledger.commit_answers([Answer(candidate_id, outcome or Outcome((4.8,)), worker, started, finished)])
    if refusal is not None:
        raise CampaignError(refusal)


def engine_of(ledger: Ledger) -> Engine:
    """Return the engine of a ledger, to inspect or damage its tables."""
    return ledger._database.engine
