"""The rows that ``schema_5.db`` has beside those of ``schema_4.db``: one of everything that came with schema 5.

``python -m tests.support.ledger_schemas`` wrote both fixtures of schema 5; they are never regenerated.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from al_loop.ledger import Answer, Change, Ledger, schema
from al_loop.oracles.base import Outcome

BEGAN = datetime(2026, 1, 3, 3, 4, 5, 678901, tzinfo=UTC)


def add_rows(ledger: Ledger) -> None:
    """Ask again for a failure, whose first call is void, correct a value to a bound, and record a change."""
    end = BEGAN + timedelta(seconds=1.25)
    ledger.retry([5], reason="the licence server is back", by="ada")
    ledger.begin_attempts([5], "worker-0")
    ledger.void_attempts([(5, 2)], "no licence file")
    failed = Outcome.failed("retryable", "the licence server did not answer")
    assert ledger.commit_answers([Answer(5, failed, "worker-0", BEGAN, end)]) == [None]
    bound = Outcome((-9.0, 0.1), info={"why": "below the range"}, censored=("<", None))
    ledger.commit_told([], [Answer(2, bound, "told by bo", BEGAN, end)], {})
    ledger.record_changes([Change(2, "config", "rounds.batch_size", 3, 2, "fewer plates", "ada", BEGAN)])
    engine = sa.create_engine(ledger.url)
    with engine.begin() as connection:
        lease = {"token": 1, "owner": "0" * 32, "host": "golden", "pid": 7, "since": BEGAN, "heartbeat": end}
        connection.execute(schema.leases.insert().values(id=1, **lease))
    engine.dispose()
