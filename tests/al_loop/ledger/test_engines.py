"""URLs, and what a connection guarantees."""

import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from tests.support.ledgers import engine_of, postgresql_only, sqlite_only


@sqlite_only
def test_a_commit_is_synced_and_readers_do_not_block_it(ledger: Ledger) -> None:
    with engine_of(ledger).connect() as connection:
        pragmas = {p: connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite://", "in-memory"),
        ("ledger.db", "not a database URL"),
        ("mysql://host/db", "'mysql' is not one of sqlite, postgresql"),
        ("postgresql+pg8000://host/db", "use postgresql\\+psycopg"),
    ],
)
def test_a_bad_url_is_named_with_the_remedy(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Ledger(url)


@postgresql_only
def test_commits_are_durable_on_a_server_that_answers_early(url: str, ledger: Ledger) -> None:
    with engine_of(ledger).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        database = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    with Ledger(url) as other, engine_of(other).connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
