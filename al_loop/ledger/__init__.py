"""The ledger: the durable record of a campaign's rounds, candidates and answers."""

from al_loop.ledger.ledger import (
    SCHEMA_VERSION,
    Answer,
    CampaignRow,
    Candidate,
    Decision,
    EvaluationRow,
    Ledger,
    Observation,
    Proposal,
    make_engine,
)

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
