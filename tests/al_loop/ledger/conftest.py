"""An empty database for each test, on SQLite and on a real PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.ledger import Ledger
from benchmarks.support.postgresql import PostgresqlServer
from tests.support.ledgers import begin


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresqlServer]:
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/run dir/ledger.db"
    server: PostgresqlServer = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger(url) as ledger:
        begin(ledger)
        yield ledger
