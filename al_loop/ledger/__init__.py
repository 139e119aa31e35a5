"""The durable record of a campaign: its rounds, candidates, oracle calls, answers and decisions.

- ``ledger``: the class ``Ledger``, which everything outside this package uses; its reading half is in ``reader``.
- ``records``: the records that the ledger stores and returns.
- ``schema``: tables, column types, and the triggers that make all tables but the lease's insert-only.
- ``engines``, ``faults``, ``database``: SQLite and PostgreSQL, retries, and transactions.
- ``campaigns``, ``rounds``, ``decisions``, ``answers``, ``imports``, ``retries``, ``changes``: the write operations.
- ``queries``: the read operations.
- ``migrations``: upgrades of ledgers with older schemas.
"""

from al_loop.ledger.engines import make_engine
from al_loop.ledger.ledger import Ledger
from al_loop.ledger.records import (
    Answer,
    CampaignRow,
    Candidate,
    Change,
    Decision,
    EvaluationRow,
    Import,
    Lease,
    Observation,
    Proposal,
    Retry,
)
from al_loop.ledger.schema import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "Answer",
    "CampaignRow",
    "Candidate",
    "Change",
    "Decision",
    "EvaluationRow",
    "Import",
    "Lease",
    "Ledger",
    "Observation",
    "Proposal",
    "Retry",
    "make_engine",
]
