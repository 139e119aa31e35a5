"""Insert-only tables, on SQLite and PostgreSQL alike."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from al_loop.ledger import Change, Lease, Ledger, schema
from al_loop.oracles.base import Outcome
from tests.support.ledgers import START, answer, begin_attempt, engine_of, open_round

TABLES = ["al_loop_schema", "campaign", "sessions", "rounds", "candidates", "attempts", "evaluations", "decisions"]
TABLES += ["round_reports", "retries", "void_attempts", "changes"]


def test_nothing_committed_can_be_changed_by_anyone(url: str, ledger: Ledger) -> None:
    a, b, c = open_round(ledger, 0, "A", "B", "C")
    begin_attempt(ledger, a.id, "w")
    answer(ledger, a.id)
    ledger.void_attempts([(c.id, begin_attempt(ledger, c.id, "w"))], "no licence")
    answer(ledger, c.id, Outcome.failed("permanent", "no licence"))
    ledger.retry([c.id], reason="", by="ada")
    ledger.record_changes([Change(0, "config", "seed", 1, 2, "", "ada", START)])
    ledger.decide(0, vetoes={b.id: "toxic"}, pins={}, approve=True, by="ada")  # rows of every table
    ledger.close_round(0, metrics={}, seconds={})

    def kept() -> list[object]:
        return [
            ledger.evaluations(),
            ledger.candidates(),
            ledger.rounds(),
            ledger.campaign(),
            ledger.attempts(),
            ledger.decisions(),
            ledger.retries(),
            ledger.changes(),
        ]

    before = kept()
    engine = sa.create_engine(ledger.url)
    for table in TABLES:
        column = sa.inspect(engine).get_columns(table)[0]["name"]
        changes = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
        if engine.dialect.name == "sqlite":
            changes.append(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
        else:
            changes.append(f"TRUNCATE {table} CASCADE")
        for change in changes:
            with pytest.raises(sa.exc.DBAPIError, match="insert-only"), engine.begin() as connection:
                connection.exec_driver_sql(change)
    engine.dispose()
    assert kept() == before


def test_the_lease_is_the_only_row_that_can_be_updated(ledger: Ledger) -> None:
    now = datetime(2026, 11, 3, tzinfo=UTC)
    row = {"token": 1, "owner": "0" * 32, "host": "here", "pid": 7, "since": now, "heartbeat": now}
    with engine_of(ledger).begin() as connection:
        connection.execute(schema.leases.insert().values(id=1, **row))
        connection.execute(schema.leases.update().values(token=2, released=now))
    assert ledger.lease() == Lease(2, "0" * 32, "here", 7, now, now, now)
