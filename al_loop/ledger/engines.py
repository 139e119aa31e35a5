"""SQLAlchemy engines for SQLite and PostgreSQL with the durability that the ledger requires."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from al_loop.errors import ConfigError
from al_loop.ledger.call_limits import LONGEST_CALL_S, CallLimit
from al_loop.outgoing import redact, remember_secrets_of, resolved

_POOL: Final[dict[str, Any]] = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 20}


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file, whose path may have characters that mean something in a URL, such as ``?``."""
    return URL.create("sqlite", database=str(path.absolute()))


def parse_url(url: str | URL) -> URL:
    """Return the parsed URL with a driver and, for SQLite, an absolute path.

    Raises:
        ConfigError: the URL names neither a SQLite file nor a PostgreSQL database.
    """
    try:
        parsed = make_url(_with_variables(url) if isinstance(url, str) else url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError(
            f"ledger: {str(url)!r:.120} is not a database URL; expected sqlite:///path/ledger.db or "
            "postgresql+psycopg://user@host/database"
        ) from None
    remember_secrets_of({"password": parsed.password, **parsed.query})
    backend = parsed.drivername.split("+")[0]
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError(
                "ledger: an in-memory database would be lost at exit; use a file, sqlite:///path/ledger.db"
            )
        if parsed.database.startswith("file:"):
            return parsed
        return parsed.set(drivername="sqlite", database=str(Path(parsed.database).expanduser().absolute()))
    if backend in ("postgresql", "postgres"):
        if "+" not in parsed.drivername:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername != "postgresql+psycopg":
            raise ConfigError(f"ledger: driver {parsed.drivername!r} is not supported; use postgresql+psycopg://")
        return parsed
    raise ConfigError(f"ledger: {backend!r} is not one of sqlite, postgresql+psycopg")


def _with_variables(url: str) -> str:
    """Return a URL with the values of the environment variables that it names, quoted as a URL needs them."""
    try:
        return resolved(url, quoted=True)
    except ValueError as error:
        raise ConfigError(f"ledger: {redact(url)}: {error}") from None


def make_engine(url: str | URL, *, read_only: bool = False, limit: CallLimit | None = None) -> Engine:
    """Return an engine with durable commits.

    A transaction with the execution option ``ledger_write`` takes SQLite's write lock when it begins; one with
    ``ledger_migration`` also disables SQLite's foreign keys, which would prevent the replacement of a table.

    Args:
        url: the URL of a SQLite file or a PostgreSQL database.
        read_only: whether the database itself rejects every change.
        limit: the longest time of a call; default: one minute.

    Raises:
        ConfigError: the URL names no such database, or psycopg is not installed.
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    is_sqlite = parsed.get_backend_name() == "sqlite"
    return (_sqlite_engine if is_sqlite else _postgresql_engine)(parsed, read_only, limit or CallLimit(LONGEST_CALL_S))


def _sqlite_engine(url: URL, read_only: bool, limit: CallLimit) -> Engine:
    path = Path(url.database or "")
    is_file_uri = (url.database or "").startswith("file:")
    if read_only and not is_file_uri:
        mode = {"mode": "rw"}
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            # WAL's side files cannot be created in a read-only directory; without a journal the file is complete
            has_journal = path.with_name(path.name + "-wal").exists()
            mode = {"mode": "ro"} if has_journal else {"mode": "ro", "immutable": "1"}
        url = URL.create("sqlite", database=path.as_uri(), query={**mode, "uri": "true"})
    engine = sa.create_engine(url, connect_args={"timeout": limit.lock_s, "check_same_thread": False}, **_POOL)

    @sa.event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # we issue BEGIN ourselves, so that DDL is part of the transaction too
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "fullfsync=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()

    @sa.event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("ledger_migration", False):
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # without effect after BEGIN
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("ledger_write", False) else "BEGIN")

    return engine


def _postgresql_engine(url: URL, read_only: bool, limit: CallLimit) -> Engine:
    longest_ms = round(1000 * limit.longest_s)
    defaults: dict[str, Any] = {
        "connect_timeout": max(min(10, round(limit.longest_s)), 2),  # libpq takes 1 for 2
        "client_encoding": "utf8",
        **{"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": longest_ms},
    }
    arguments = {k: v for k, v in defaults.items() if k not in url.query}
    try:
        from al_loop.ledger.limited_connection import limited

        engine = sa.create_engine(url, connect_args=arguments, isolation_level="READ COMMITTED", **_POOL)
    except ImportError:
        raise ConfigError("ledger: PostgreSQL requires psycopg; pip install 'al-loop[postgresql]'") from None

    @sa.event.listens_for(engine, "do_connect")
    def _(dialect: sa.Dialect, record: object, arguments: Any, options: dict[str, Any]) -> Any:
        return limited(limit).connect(*arguments, **options)

    @sa.event.listens_for(engine, "connect")
    def _(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            # a server that acknowledges before it has written would break "durable when the call returns"
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off'"
            )
            # the server, too, gives up what nobody waits for any more, such as the lock of a driver that was suspended
            for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
                cursor.execute(f"SELECT set_config('{setting}', '{longest_ms}', false)")
            if read_only:
                cursor.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
        connection.commit()

    return engine
