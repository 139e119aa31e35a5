"""The durable record of a campaign: its rounds, candidates, oracle calls, answers and decisions.

- ``ledger``: the class ``Ledger``, which everything outside this package uses; its reading half is in ``reader``.
- ``records``: what goes into the ledger and comes out of it.
- ``schema``: tables, column types, and the triggers that make every table insert-only.
- ``engines``, ``faults``, ``database``: SQLite and PostgreSQL, retries, and transactions.
- ``campaigns``, ``rounds``, ``decisions``, ``answers``: what is written; ``queries``: what is read.
- ``migrations``: upgrades of ledgers of older schemas.
"""

from al_loop.ledger.engines import make_engine
from al_loop.ledger.ledger import Ledger
from al_loop.ledger.records import (
    Answer,
    CampaignRow,
    Candidate,
    Decision,
    EvaluationRow,
    Observation,
    Proposal,
)
from al_loop.ledger.schema import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "Answer",
    "CampaignRow",
    "Candidate",
    "Decision",
    "EvaluationRow",
    "Ledger",
    "Observation",
    "Proposal",
    "make_engine",
]
