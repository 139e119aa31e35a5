"""Upgrades of ledgers with older schemas: Alembic scripts in ``versions``, one for each schema.

An upgrade runs in one transaction under the ledger's write lock: it succeeds as a whole or leaves the ledger unchanged.
Two processes that open the same old ledger at once both succeed. The version is the largest number in
``al_loop_schema``, whose rows are never changed, so that an older al-loop still recognises and rejects a newer ledger.
Alembic is imported only when there is something to upgrade.

To change the schema:

1. Change ``schema.py``, and raise ``SCHEMA_VERSION``.
2. Write ``versions/schema_<number>.py`` with ``revision``, ``down_revision`` and ``upgrade()``, which uses
   ``alembic.op``; constraints of SQLite tables need ``op.batch_alter_table``. It may change rows: the insert-only
   triggers are dropped before it and recreated after it, and its number is recorded by ``upgrade`` below.
3. Only add: an older al-loop may be writing to the same ledger, so new columns are nullable or have a server default.
4. Run ``python -m tests.support.ledger_schemas``, which writes the fixtures of the new schema.
"""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from al_loop.errors import ConfigError, summary
from al_loop.ledger import schema
from al_loop.ledger.engines import make_engine, sqlite_url
from al_loop.system.version import version as own_version

#: the parent folder of ``versions``
SCRIPTS = Path(__file__).parent


def version_of(connection: Connection) -> int:
    """Return the version of a ledger's schema."""
    version: int | None = connection.scalar(sa.select(sa.func.max(schema.versions.c.version)))
    return version or 0


def writer_of(connection: Connection) -> str:
    """Return which version of al-loop last started a campaign whose schema is newer, as the beginning of a message."""
    raw = sa.table("sessions", sa.column("id"), sa.column("versions"))
    try:
        text: Any = connection.scalar(sa.select(raw.c.versions).order_by(raw.c.id.desc()).limit(1))
        return f"was last started by al-loop {json.loads(text)['al-loop']!s:.40} and "
    except (sa.exc.SQLAlchemyError, ValueError, TypeError, LookupError):
        return ""


def require_supported(connection: Connection, number: int, name: str) -> None:
    """Raise ConfigError if a ledger's schema is too new or too old for this al-loop.

    Args:
        connection: a connection to the ledger.
        number: the version of its schema.
        name: the ledger's name, for the message.
    """
    if number > schema.SCHEMA_VERSION:
        raise ConfigError(
            f"ledger {name}: {writer_of(connection)}has schema {number}, but this al-loop {own_version()} supports "
            f"schemas up to {schema.SCHEMA_VERSION}; upgrade al-loop"
        )
    if number < schema.OLDEST_SCHEMA:
        raise ConfigError(
            f"ledger {name}: has schema {number} of an unreleased al-loop, which cannot be upgraded; finish the "
            "campaign with the version that started it, or start another with a new --run-dir"
        )


def upgrade(connection: Connection, version: int) -> None:
    """Upgrade a ledger to the current schema.

    Args:
        connection: a connection in a write transaction with ``ledger_migration``; the caller commits.
        version: the version of the ledger's schema.

    Raises:
        ConfigError: the result violates a foreign key, which is a bug in a script.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS))
    steps = list(scripts.iterate_revisions(str(schema.SCHEMA_VERSION), str(version)))[::-1]
    schema.drop_guards(connection)
    with Operations.context(MigrationContext.configure(connection)):
        for step in steps:
            step.module.upgrade()
            connection.execute(schema.versions.insert().values(version=int(step.revision)))
    schema.create_guards(connection)
    if connection.dialect.name == "sqlite":  # PostgreSQL checks its foreign keys all along
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            raise ConfigError(f"ledger: the upgrade from schema {version} would break {len(broken)} references")


def keep_backup(connection: Connection, version: int) -> None:
    """Copy a SQLite ledger to ``ledger.db.schema-<version>.bak`` beside it, before it is upgraded.

    Args:
        connection: a connection to the ledger, in a transaction that has written nothing yet.
        version: the version of its schema.

    Raises:
        ConfigError: the copy cannot be written.
    """
    path = Path(connection.exec_driver_sql("PRAGMA database_list").all()[0][2])
    backup = path.with_name(f"{path.name}.schema-{version}.bak")
    partial = path.with_name(f"{backup.name}.part")
    try:
        partial.unlink(missing_ok=True)
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as source:
            _copy_file(source, partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(backup)
    except (sqlite3.Error, OSError) as error:
        raise ConfigError(
            f"ledger {path}: cannot be copied to {backup.name} before its upgrade ({summary(error)}); check the "
            "disk space and permissions of its folder"
        ) from error


def upgraded_copy(source: Engine, path: Path) -> Engine:
    """Copy an older ledger to a SQLite file and upgrade the copy.

    Args:
        source: the ledger, which is only read.
        path: the file, which must not exist.

    Returns:
        A read-only engine for the copy.
    """
    url = sqlite_url(path)
    copy_database(source, path, has_guards=False)
    target = make_engine(url).execution_options(ledger_write=True, ledger_migration=True)
    with target.begin() as connection:
        upgrade(connection, version_of(connection))
    target.dispose()
    return make_engine(url, read_only=True)


def copy_database(source: Engine, path: Path, *, has_guards: bool = True) -> None:
    """Copy a ledger, as of one moment, to a SQLite file.

    Args:
        source: the ledger, which is only read.
        path: the file, which must not exist.
        has_guards: whether the copy of another kind of database gets the triggers that make its tables insert-only.
    """
    if source.dialect.name == "sqlite":
        with source.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            _copy_file(driver, path)
        return
    target = make_engine(sqlite_url(path)).execution_options(ledger_write=True, ledger_migration=True)
    with target.begin() as connection:
        _copy_rows(source, connection)
        if has_guards:
            schema.create_guards(connection)
    target.dispose()


def _copy_file(source: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        source.backup(copy)


def _copy_rows(source: Engine, target: Connection) -> None:
    """Copy the ledger's tables, as defined in the source, with their rows."""
    tables = sa.MetaData()
    with source.connect().execution_options(isolation_level="REPEATABLE READ") as connection:  # one snapshot
        mutable = schema.MUTABLE & set(sa.inspect(connection).get_table_names())
        tables.reflect(connection, only=sorted({table for table, _ in schema.guards(connection)} | mutable))
        for column in (column for table in tables.sorted_tables for column in table.columns):
            column.server_default = None  # in the source's dialect; every row has its value
        tables.create_all(target, checkfirst=False)
        for table in tables.sorted_tables:
            rows = connection.execute(sa.select(table)).mappings().all()
            if rows:
                target.execute(table.insert(), [dict(row) for row in rows])
