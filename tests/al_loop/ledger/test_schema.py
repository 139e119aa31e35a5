"""Insert-only tables, on SQLite and PostgreSQL alike."""

import pytest
import sqlalchemy as sa

from al_loop.ledger import Ledger
from tests.support.ledgers import answer, begin_attempt, open_round

TABLES = ["al_loop_schema", "campaign", "sessions", "rounds", "candidates", "attempts", "evaluations", "decisions"]
TABLES.append("round_reports")


def test_nothing_committed_can_be_changed_by_anyone(url: str, ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    begin_attempt(ledger, a.id, "w")
    answer(ledger, a.id)
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
