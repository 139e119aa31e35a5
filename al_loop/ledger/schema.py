"""The ledger's tables and column types, and the triggers that make all tables but ``leases`` insert-only.

``SCHEMA_VERSION`` numbers the tables as defined here; ``migrations`` upgrades an older ledger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.system.plain_values import shown, text_of

SCHEMA_VERSION: Final = 6
OLDEST_SCHEMA: Final = 4  # earlier ones were never released
_MAX_BITS: Final = 10_000  # of an integer; Python writes and reads no more than 4300 digits
_MAX_REPR: Final = 200  # characters stored of a value without a JSON type


# -- values ----------------------------------------------------------------------------------------------------------


def clean_json(value: object) -> Any:
    """Return a value as JSON for both databases: non-finite numbers become null, other types their representation."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_BITS else shown(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable_text(text_of(k)): clean_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((clean_json(v) for v in value), key=repr)
    if isinstance(value, datetime | Path):
        return str(value)
    if callable(getattr(value, "tolist", None)):  # numpy scalars and arrays, without importing numpy
        return clean_json(value.tolist())  # type: ignore[attr-defined]
    return storable_text(shown(value, _MAX_REPR))


def storable_text(value: str) -> str:
    """Return a text without NUL, which PostgreSQL rejects, and without lone surrogates, which UTF-8 cannot encode."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def finite_or_none(value: float | None) -> float | None:
    """Return a finite number as a float and ``None`` for anything else, so that an invalid cost never loses a value."""
    try:
        number = float(value) if value is not None else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


class Json(sa.types.TypeDecorator[Any]):
    """JSON without NaN or infinity, stored as text so that the order of keys and all digits are preserved."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(clean_json(value), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class Utc(sa.types.TypeDecorator[datetime]):
    """A time as ISO text in UTC with microseconds, which sorts correctly and is equal in every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use datetime.now(UTC)")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class BigInt(sa.types.TypeDecorator[int]):
    """An integer of any size (seeds may have 128 bits) as decimal text."""

    impl = sa.String(64)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(int(value))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else int(value)


# -- tables ----------------------------------------------------------------------------------------------------------

metadata = sa.MetaData()


def _sealed(table: str) -> tuple[sa.Column[Any], sa.Column[Any], sa.Index]:
    """Return the columns of a row's number in the ledger and of its checksum, see ``seals``; null in foreign rows."""
    entry = sa.Column("entry", sa.Integer)
    return entry, sa.Column("seal", sa.String(64)), sa.Index(f"{table}_entry_key", entry, unique=True)


#: one row for the schema that the ledger was created with, and one for each upgrade; the largest is current
versions = sa.Table(
    "al_loop_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)
campaign = sa.Table(
    "campaign",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("uid", sa.String(32), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("config", Json, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("seed", BigInt, nullable=False),
    sa.Column("objectives", Json, nullable=False),
    sa.Column("created", Utc, nullable=False),
    *_sealed("campaign"),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", Utc, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("versions", Json, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("config", Json, nullable=False),
    *_sealed("sessions"),
)
rounds = sa.Table(
    "rounds",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("opened", Utc, nullable=False),
    sa.Column("seed", BigInt, nullable=False),
    sa.Column("seconds", Json, nullable=False),
    sa.Column("info", Json, nullable=False),
    *_sealed("rounds"),
)
candidates = sa.Table(
    "candidates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round", sa.ForeignKey(rounds.c.number), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    # unique through its hash: PostgreSQL's index rejects texts above 2.7 kB, which a long sequence reaches
    sa.Column("object_sha256", sa.String(64), nullable=False),
    sa.Column("fidelity", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("predicted_mean", sa.Double),
    sa.Column("predicted_std", sa.Double),
    sa.Column("acquisition", sa.Double),
    sa.Column("created", Utc, nullable=False),
    sa.Column("details", Json),
    sa.Column("replicate", sa.Integer, nullable=False, server_default="0"),
    *_sealed("candidates"),
    sa.UniqueConstraint("round", "position", name="candidates_round_position_key"),
    sa.UniqueConstraint(
        "object_sha256", "fidelity", "replicate", name="candidates_object_sha256_fidelity_replicate_key"
    ),
)
attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("candidate_id", sa.ForeignKey(candidates.c.id), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", Utc, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    *_sealed("attempts"),
)
#: oracle calls that measured nothing and cost nothing, because the oracle itself could not work
void_attempts = sa.Table(
    "void_attempts",
    metadata,
    sa.Column("candidate_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("recorded", Utc, nullable=False),
    *_sealed("void_attempts"),
    sa.ForeignKeyConstraint(["candidate_id", "number"], [attempts.c.candidate_id, attempts.c.number]),
)
evaluations = sa.Table(
    "evaluations",
    metadata,
    sa.Column("candidate_id", sa.ForeignKey(candidates.c.id), primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("arrived", sa.Integer, nullable=False),
    sa.Column("values", Json),
    sa.Column("noise", Json),
    sa.Column("failure_kind", sa.Text),
    sa.Column("failure_reason", sa.Text),
    sa.Column("cost", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("started", Utc, nullable=False),
    sa.Column("finished", Utc, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("info", Json, nullable=False),
    sa.Column("artifacts", Json, nullable=False),
    sa.Column("censored", Json),
    *_sealed("evaluations"),
    sa.CheckConstraint('("values" IS NULL) <> (failure_kind IS NULL)', name="values_or_failure"),
)
#: failures whose objects are measured again; until a newer revision is there, the candidate is pending
retries = sa.Table(
    "retries",
    metadata,
    sa.Column("candidate_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),  # its place among the numbers of the answers
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested", Utc, nullable=False),
    *_sealed("retries"),
    sa.ForeignKeyConstraint(["candidate_id", "revision"], [evaluations.c.candidate_id, evaluations.c.revision]),
)
decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round", sa.ForeignKey(rounds.c.number), nullable=False),
    sa.Column("candidate_id", sa.ForeignKey(candidates.c.id)),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided", Utc, nullable=False),
    *_sealed("decisions"),
    sa.UniqueConstraint("candidate_id", "action"),  # a candidate pinned by mistake can still be vetoed
)
round_reports = sa.Table(
    "round_reports",
    metadata,
    sa.Column("round", sa.ForeignKey(rounds.c.number), primary_key=True, autoincrement=False),
    sa.Column("closed", Utc, nullable=False),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("seconds", Json, nullable=False),
    *_sealed("round_reports"),
)
#: what changed between two starts, such as a key of the config or the code of the oracle
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round", sa.Integer, nullable=False),  # the first round that it applies to, which may not exist yet
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("old", Json),
    sa.Column("new", Json),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
    sa.Column("changed", Utc, nullable=False),
    *_sealed("changes"),
)
#: a chain over the rows of all tables: each link covers the rows of one insert, see ``seals``
links = sa.Table(
    "links",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("last", sa.Integer, nullable=False),  # the last row's number in the ledger
    sa.Column("seal", sa.String(64), nullable=False),
)
#: the process that drives the campaign: one row, the only one that is updated
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("token", sa.Integer, nullable=False),  # grows with each owner
    sa.Column("owner", sa.String(32), nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("since", Utc, nullable=False),
    sa.Column("heartbeat", Utc, nullable=False),
    sa.Column("released", Utc),
)
#: the tables whose rows may be updated
MUTABLE: Final = frozenset({leases.name})
#: the tables whose rows have checksums
SEALED: Final = tuple(table for table in metadata.sorted_tables if "seal" in table.c and table is not links)


def content(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns of a table without those of its checksums."""
    return [column for column in table.columns if column.name not in ("entry", "seal")]


def create_tables(connection: Connection) -> None:
    """Create all tables and triggers in a database that has none of them, and record the schema's version."""
    metadata.create_all(connection, checkfirst=False)
    create_guards(connection)
    connection.execute(versions.insert().values(version=SCHEMA_VERSION))


# -- insert-only -----------------------------------------------------------------------------------------------------

_REFUSE: Final = "al_loop_refuse_change"  # the trigger function on PostgreSQL


def create_guards(connection: Connection) -> None:
    """Create the triggers that make all tables but ``MUTABLE`` insert-only."""
    if connection.dialect.name == "postgresql":
        # psycopg reads a single per cent sign as a parameter
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {_REFUSE}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
            "'the ledger is insert-only: %% on %% refused', TG_OP, TG_TABLE_NAME; END $$"
        )
    for table in (table for table in metadata.sorted_tables if table.name not in MUTABLE):
        for statement in _guards_of(table, connection.dialect.name):
            connection.exec_driver_sql(statement)


def _guards_of(table: sa.Table, dialect: str) -> list[str]:
    name = table.name
    if dialect == "postgresql":
        return [
            f"CREATE TRIGGER {name}_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {_REFUSE}()"
        ]
    refuse = f"BEGIN SELECT RAISE(ABORT, 'the ledger is insert-only: %s on {name} refused'); END"
    statements = [
        f"CREATE TRIGGER {name}_no_{change.lower()} BEFORE {change} ON {name} {refuse % change}"
        for change in ("UPDATE", "DELETE")
    ]
    # INSERT OR REPLACE deletes without firing the DELETE trigger, so no row of the same key may exist
    keys = [list(table.primary_key.columns)]
    unique = [list(c.columns) for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
    keys += sorted(unique, key=lambda columns: [c.name for c in columns])
    same = " OR ".join("(" + " AND ".join(f'"{c.name}" = NEW."{c.name}"' for c in key) + ")" for key in keys)
    statements.append(
        f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS "
        f"(SELECT 1 FROM {name} WHERE {same}) {refuse % 'REPLACE'}"
    )
    return statements


def guards(connection: Connection) -> list[tuple[str, str]]:
    """Return the table and name of each insert-only trigger in the database."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON "
            f"p.oid = t.tgfoid WHERE p.proname = '{_REFUSE}' AND c.relnamespace = current_schema()::regnamespace"
        )
    else:
        query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%insert-only%'"
    return sorted((row[0], row[1]) for row in connection.execute(sa.text(query)))


def drop_guards(connection: Connection) -> None:
    """Drop the insert-only triggers, for a migration within the same transaction."""
    on_table = connection.dialect.name == "postgresql"
    for table, name in guards(connection):
        connection.exec_driver_sql(f'DROP TRIGGER "{name}" ON "{table}"' if on_table else f'DROP TRIGGER "{name}"')
