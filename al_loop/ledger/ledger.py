"""The durable record of a campaign: what was proposed, what was asked, what was answered. Needs neither torch nor ray.

The ledger is the only truth of a campaign. Rows are inserted and never changed: triggers in the database itself refuse
UPDATE and DELETE, so that not even a stray SQL console can rewrite what was measured. A write is durable when its call
returns, or the call raises. SQLite and PostgreSQL hold the same tables and answer alike.

Every write runs under one lock (a process-wide lock and ``BEGIN IMMEDIATE`` on SQLite, an advisory lock on PostgreSQL),
so that "look, then insert" is one step, and ids have neither gaps nor races. A write cut off by a lost connection is
tried again; it first looks whether the row had arrived after all. Whatever may pass (a full disk, a restarting server)
is waited for, as long as ``patience_s`` says.

Answers are numbered in the order in which they were committed, so that "what was known when this batch was decided on"
is a number. A mistake in a told answer is put right by a further *revision*: the latest counts, the earlier stay.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import socket
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine, make_url

from al_loop.errors import CampaignError, ConfigError, first_line
from al_loop.oracles.base import Failure, FailureKind, Objective, Outcome, as_outcome

SCHEMA_VERSION: Final = 4
PATIENCE_S: Final = 3.0
_BUSY_TIMEOUT_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 3.0
_SILENT_S: Final = 2.0  # of waiting before the user is told
_LOCK_KEY: Final = 0x616C_6C6F_6F70  # "alloop": the advisory lock of a ledger's writers on PostgreSQL
_MAX_REPR: Final = 200  # characters kept of a value that JSON has no type for

T = TypeVar("T")
DecisionAction = Literal["veto", "pin", "approve", "stop"]


# -- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """An object for the next batch; the predictions are in raw oracle units, ``None`` where nothing was predicted."""

    object: str
    origin: str
    predicted_mean: float | None = None
    predicted_std: float | None = None
    acquisition: float | None = None
    fidelity: str = ""


@dataclass(frozen=True)
class Candidate:
    """A proposed object; ``id`` orders all candidates of a campaign, ``position`` counts from 0 within its batch.

    fidelity: the oracle's, at which the object is to be measured; empty where there is one only.
    """

    id: int
    round: int
    position: int
    object: str
    origin: str
    predicted_mean: float | None = None
    predicted_std: float | None = None
    acquisition: float | None = None
    fidelity: str = ""


@dataclass(frozen=True)
class Observation:
    """What the surrogate learns from: the values in raw oracle units, ``None`` where the answer was a failure.

    round: in which it was proposed. arrived: the round that was open when the answer came, later for a straggler.
    noise: standard deviation of each value, where the oracle stated it. cost: of the call, in the oracle's currency.
    seconds: duration of the call.
    """

    object: str
    values: tuple[float, ...] | None
    failure: FailureKind | None
    round: int
    arrived: int = 0
    noise: tuple[float, ...] | None = None
    fidelity: str = ""
    cost: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a worker (or a person) answered for a candidate, to be committed."""

    candidate_id: int
    outcome: Outcome
    worker: str
    started: datetime
    finished: datetime


@dataclass(frozen=True)
class Decision:
    """What a person decided of a batch before it went out: a veto or a pin of one candidate, or to let it go (None).

    A ``stop`` is decided by the campaign's rules, after that round.

    reason: why; it may be empty where a batch is approved.
    """

    round: int
    action: DecisionAction
    candidate_id: int | None
    reason: str
    by: str
    decided: datetime


@dataclass(frozen=True)
class CampaignRow:
    """The one campaign of a ledger; ``uid`` is no other campaign's."""

    name: str
    config: dict[str, Any]
    fingerprint: str
    seed: int
    objectives: tuple[Objective, ...]
    created: datetime
    uid: str


@dataclass(frozen=True)
class SessionRow:
    """One start of the campaign's process, with the config it had: how many rounds, for one, may change."""

    id: int
    started: datetime
    host: str
    pid: int
    versions: dict[str, str]
    command: str
    config: dict[str, Any]


@dataclass(frozen=True)
class RoundRow:
    """A round; ``closed``, ``metrics`` and ``closing_seconds`` are ``None`` until it is closed."""

    number: int
    opened: datetime
    seed: int
    seconds: dict[str, float]
    info: dict[str, Any]
    closed: datetime | None = None
    metrics: dict[str, Any] | None = None
    closing_seconds: dict[str, float] | None = None


@dataclass(frozen=True)
class AttemptRow:
    """One call of the oracle, recorded before it is made; ``number`` counts from 1 for each candidate."""

    candidate_id: int
    number: int
    started: datetime
    worker: str


@dataclass(frozen=True)
class EvaluationRow:
    """The answer of a candidate. ``cost`` is in the oracle's currency, ``attempts`` how many calls it took.

    number: counts the answers in the order in which they were committed, from 1.
    arrived: the round that was open then; a straggler counts for a later round than its own.
    revision: 0, or how often the answer was corrected.
    artifacts: of each file kept in the run directory, its size in bytes and its SHA-256.
    """

    candidate_id: int
    values: tuple[float, ...] | None
    failure: Failure | None
    cost: float | None
    seconds: float
    started: datetime
    finished: datetime
    worker: str
    attempts: int
    info: dict[str, Any]
    noise: tuple[float, ...] | None
    artifacts: dict[str, dict[str, Any]]
    number: int
    arrived: int
    revision: int

    @property
    def failure_kind(self) -> FailureKind | None:
        """The failure's kind, ``None`` where there are values."""
        return None if self.failure is None else self.failure.kind

    @property
    def reason(self) -> str | None:
        """The failure's reason, ``None`` where there are values."""
        return None if self.failure is None else self.failure.reason


# -- column types ----------------------------------------------------------------------------------------------------


def _clean(value: object) -> Any:
    """Any value as JSON that both databases take: non-finite numbers become null, foreign types their text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_text(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((_clean(v) for v in value), key=repr)
    if isinstance(value, datetime | Path):
        return str(value)
    if callable(getattr(value, "tolist", None)):  # numpy scalars and arrays, without importing numpy
        return _clean(value.tolist())  # type: ignore[attr-defined]
    return _text(repr(value))[:_MAX_REPR]


def _text(value: str) -> str:
    """The text without what PostgreSQL cannot hold (NUL) and UTF-8 cannot say (lone surrogates)."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _finite(value: float | None) -> float | None:
    """The number as a plain float; ``None`` for what is none, so that an odd cost never loses a measured value."""
    try:
        number = float(value) if value is not None else math.nan
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


class _Json(sa.types.TypeDecorator[Any]):
    """JSON without NaN or infinity, kept as text so that key order and digits come back as they went in."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(_clean(value), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class _Utc(sa.types.TypeDecorator[datetime]):
    """A moment as ISO text in UTC with microseconds: it sorts, and is the same on every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; write datetime.now(UTC)")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class _BigInt(sa.types.TypeDecorator[int]):
    """A whole number of any size (seeds may have 128 bits) as decimal text."""

    impl = sa.String(64)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else str(int(value))

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else int(value)


# -- tables ----------------------------------------------------------------------------------------------------------

_metadata = sa.MetaData()

_schema = sa.Table(
    "al_loop_schema",
    _metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)
_campaign = sa.Table(
    "campaign",
    _metadata,
    sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    sa.Column("uid", sa.String(32), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("config", _Json, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("seed", _BigInt, nullable=False),
    sa.Column("objectives", _Json, nullable=False),
    sa.Column("created", _Utc, nullable=False),
)
_sessions = sa.Table(
    "sessions",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", _Utc, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("versions", _Json, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("config", _Json, nullable=False),
)
_rounds = sa.Table(
    "rounds",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("opened", _Utc, nullable=False),
    sa.Column("seed", _BigInt, nullable=False),
    sa.Column("seconds", _Json, nullable=False),
    sa.Column("info", _Json, nullable=False),
)
_candidates = sa.Table(
    "candidates",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round", sa.ForeignKey(_rounds.c.number), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    # unique through its hash: PostgreSQL's index refuses texts above 2.7 kB, which a long sequence reaches
    sa.Column("object_sha256", sa.String(64), nullable=False),
    sa.Column("fidelity", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("predicted_mean", sa.Double),
    sa.Column("predicted_std", sa.Double),
    sa.Column("acquisition", sa.Double),
    sa.Column("created", _Utc, nullable=False),
    sa.UniqueConstraint("round", "position"),
    sa.UniqueConstraint("object_sha256", "fidelity"),
)
_attempts = sa.Table(
    "attempts",
    _metadata,
    sa.Column("candidate_id", sa.ForeignKey(_candidates.c.id), primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started", _Utc, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
)
_evaluations = sa.Table(
    "evaluations",
    _metadata,
    sa.Column("candidate_id", sa.ForeignKey(_candidates.c.id), primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("arrived", sa.Integer, nullable=False),
    sa.Column("values", _Json),
    sa.Column("noise", _Json),
    sa.Column("failure_kind", sa.Text),
    sa.Column("failure_reason", sa.Text),
    sa.Column("cost", sa.Double),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("started", _Utc, nullable=False),
    sa.Column("finished", _Utc, nullable=False),
    sa.Column("worker", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("info", _Json, nullable=False),
    sa.Column("artifacts", _Json, nullable=False),
    sa.CheckConstraint('("values" IS NULL) <> (failure_kind IS NULL)', name="values_or_failure"),
)
_decisions = sa.Table(
    "decisions",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("round", sa.ForeignKey(_rounds.c.number), nullable=False),
    sa.Column("candidate_id", sa.ForeignKey(_candidates.c.id)),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("decided_by", sa.Text, nullable=False),
    sa.Column("decided", _Utc, nullable=False),
    sa.UniqueConstraint("candidate_id", "action"),  # what was pinned by mistake can still be vetoed
)
_round_reports = sa.Table(
    "round_reports",
    _metadata,
    sa.Column("round", sa.ForeignKey(_rounds.c.number), primary_key=True, autoincrement=False),
    sa.Column("closed", _Utc, nullable=False),
    sa.Column("metrics", _Json, nullable=False),
    sa.Column("seconds", _Json, nullable=False),
)


def _guards(dialect: str) -> list[str]:
    """The SQL that makes every table insert-only."""
    statements = []
    if dialect == "postgresql":
        statements.append(
            "CREATE FUNCTION al_loop_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the ledger is insert-only: % on % refused', TG_OP, TG_TABLE_NAME; END $$"
        )
    for table in _metadata.sorted_tables:
        name = table.name
        if dialect == "postgresql":
            statements.append(
                f"CREATE TRIGGER {name}_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
                "FOR EACH STATEMENT EXECUTE FUNCTION al_loop_refuse_change()"
            )
            continue
        refuse = f"BEGIN SELECT RAISE(ABORT, 'the ledger is insert-only: %s on {name} refused'); END"
        statements += [
            f"CREATE TRIGGER {name}_no_{what.lower()} BEFORE {what} ON {name} {refuse % what}"
            for what in ("UPDATE", "DELETE")
        ]
        # INSERT OR REPLACE deletes without firing the DELETE trigger, so the row must not be there
        keys = [list(table.primary_key.columns)]
        keys += [list(c.columns) for c in table.constraints if isinstance(c, sa.UniqueConstraint)]
        same = " OR ".join("(" + " AND ".join(f'"{c.name}" = NEW."{c.name}"' for c in key) + ")" for key in keys)
        statements.append(
            f"CREATE TRIGGER {name}_no_replace BEFORE INSERT ON {name} WHEN EXISTS "
            f"(SELECT 1 FROM {name} WHERE {same}) {refuse % 'REPLACE'}"
        )
    return statements


# -- opening ---------------------------------------------------------------------------------------------------------


def _parse_url(url: str) -> URL:
    """The URL with a driver and, on SQLite, an absolute path."""
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigError(
            f"ledger: {url!r:.120} is not a database URL; expected sqlite:///path/ledger.db or "
            "postgresql+psycopg://user@host/database"
        ) from None
    backend = parsed.drivername.split("+")[0]
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError("ledger: an in-memory database keeps nothing; give a path, sqlite:///path/ledger.db")
        if parsed.database.startswith("file:"):
            return parsed
        return parsed.set(drivername="sqlite", database=str(Path(parsed.database).expanduser().absolute()))
    if backend in ("postgresql", "postgres"):
        if "+" not in parsed.drivername:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.drivername != "postgresql+psycopg":
            raise ConfigError(f"ledger: driver {parsed.drivername!r} is not supported; write postgresql+psycopg://")
        return parsed
    raise ConfigError(f"ledger: {backend!r} is not one of sqlite, postgresql+psycopg")


def make_engine(url: str) -> Engine:
    """An engine as the ledger has it, for what is kept beside it.

    Raises ConfigError where the URL is none.
    """
    parsed = _parse_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    return (_sqlite_engine if is_sqlite else _postgresql_engine)(parsed, False)


def _sqlite_engine(url: URL, read_only: bool) -> Engine:
    path = Path(url.database or "")
    is_file_uri = (url.database or "").startswith("file:")
    query_only = read_only
    if read_only and not is_file_uri:
        mode = {"mode": "rw"}
        if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
            # a read-only directory has no room for WAL's side files; without a journal the file itself is complete
            has_journal = path.with_name(path.name + "-wal").exists()
            mode = {"mode": "ro"} if has_journal else {"mode": "ro", "immutable": "1"}
        url = URL.create("sqlite", database=path.as_uri(), query={**mode, "uri": "true"})
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}, **_POOL)

    @sa.event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is part of the transaction too
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "fullfsync=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")
        if query_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()

    @sa.event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        writes = connection.get_execution_options().get("ledger_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL, read_only: bool) -> Engine:
    defaults: dict[str, Any] = {"connect_timeout": 10, "client_encoding": "utf8"}
    arguments = {k: v for k, v in defaults.items() if k not in url.query}
    try:
        engine = sa.create_engine(url, connect_args=arguments, isolation_level="READ COMMITTED", **_POOL)
    except ImportError:
        raise ConfigError("ledger: PostgreSQL needs psycopg; pip install 'al-loop[postgresql]'") from None

    @sa.event.listens_for(engine, "connect")
    def _(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            # a server that answers before it has written would break "durable when the call returns"
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')='off'"
            )
            if read_only:
                cursor.execute("SELECT set_config('default_transaction_read_only', 'on', false)")
        connection.commit()

    return engine


_POOL: Final[dict[str, Any]] = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 20}


def _pause_s(n: int) -> float:
    """How long to wait before the try after the n-th (from 0), in seconds."""
    return min(0.1 * 2.0 ** min(n, 10), _LONGEST_PAUSE_S) * (1 + random.random()) / 2


def _is_transient(error: sa.exc.DBAPIError | sqlite3.Error) -> bool:
    """Whether another try may succeed: a locked database, a lost connection, a restarting server, a full disk."""
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sqlite3.OperationalError):
        return False
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return str(state)[:2] in ("08", "40", "53") or state in ("57P01", "57P02", "57P03", "55P03")
    text = str(cause).lower()
    words = "locked|busy|connection|closed|timeout|starting up|shutting down|terminat"
    # SQLite has no more to say of a full disk than the latter, at times
    return re.search(f"{words}|disk is full|disk i/o error", text) is not None


class Ledger:
    """The record of one campaign in a SQLite file or a PostgreSQL database. Safe to use from many threads.

    url: ``sqlite:///RUN/ledger.db`` or ``postgresql+psycopg://user@host/database``; the schema is created where the
        database is empty.
    read_only: open an existing ledger to look at it; nothing is created, and every write raises.
    patience_s: how long a step that cannot be done at present is tried again before it raises CampaignError.
    on_wait: told why, when that begins to take long.

    Raises ConfigError where the database cannot be reached or written, holds something else, or is of a newer al-loop.
    """

    def __init__(
        self,
        url: str,
        *,
        read_only: bool = False,
        patience_s: float = PATIENCE_S,
        on_wait: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._url = _parse_url(url)
        self._read_only = read_only
        self.patience_s, self._on_wait = patience_s, on_wait
        self._lock = threading.RLock()
        self._n_values: int | None = None
        self.name = self._url.render_as_string(hide_password=True)
        self.url = self._url.render_as_string(hide_password=False)
        is_sqlite = self._url.get_backend_name() == "sqlite"
        try:
            if is_sqlite and not str(self._url.database).startswith("file:"):
                self._look_at_file(Path(str(self._url.database)))
            self._engine = (_sqlite_engine if is_sqlite else _postgresql_engine)(self._url, read_only)
            for n in range(5):
                try:
                    self._open()
                    break
                except (sa.exc.DBAPIError, sqlite3.Error) as error:
                    if not (is_sqlite and _is_transient(error)) or n == 4:
                        raise
                    time.sleep(_pause_s(n))  # another process creates the same ledger just now
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            self.close()
            raise ConfigError(self._why_not_opened(error)) from error
        except ConfigError:
            self.close()
            raise

    def _look_at_file(self, path: Path) -> None:
        if self._read_only:
            if not path.is_file():
                raise ConfigError(f"ledger {path}: there is no such file")
            return
        path.parent.mkdir(parents=True, exist_ok=True)

    def _why_not_opened(self, error: Exception) -> str:
        reason = first_line(error)
        if "file is not a database" in reason:
            return f"ledger {self.name}: not a ledger (the file is no SQLite database); choose another --run-dir"
        if "readonly" in reason or "read-only" in reason:
            return f"ledger {self.name}: cannot be written ({reason}); choose a --run-dir that you may write to"
        remedy = "check the path" if self._url.get_backend_name() == "sqlite" else "check the URL and the server"
        return f"ledger {self.name}: cannot be opened ({reason}); {remedy}"

    def _open(self) -> None:
        with self._engine.execution_options(ledger_write=not self._read_only).begin() as connection:
            if self._engine.dialect.name == "postgresql" and not self._read_only:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            tables = set(sa.inspect(connection).get_table_names())
            if _schema.name in tables:
                version = connection.scalar(sa.select(sa.func.max(_schema.c.version)))
                if version != SCHEMA_VERSION:
                    is_old = version is not None and version < SCHEMA_VERSION
                    remedy = "finish it with the al-loop that began it" if is_old else "upgrade al-loop"
                    raise ConfigError(
                        f"ledger {self.name}: its schema has version {version}, this al-loop reads {SCHEMA_VERSION}; "
                        f"{remedy}"
                    )
                self._require_writable(connection)
                return
            foreign = tables if self._engine.dialect.name == "sqlite" else tables & set(_metadata.tables)
            if foreign or self._read_only:
                what = f"it holds the tables {', '.join(sorted(foreign)[:5])}" if foreign else "it is empty"
                raise ConfigError(f"ledger {self.name}: not a ledger ({what}); choose another --run-dir or database")
            _metadata.create_all(connection, checkfirst=False)
            for statement in _guards(self._engine.dialect.name):
                connection.exec_driver_sql(statement.replace("%", "%%") if "$$" in statement else statement)
            connection.execute(_schema.insert().values(version=SCHEMA_VERSION))

    def _require_writable(self, connection: Connection) -> None:
        if self._read_only:
            return
        if self._engine.dialect.name == "sqlite":
            # BEGIN IMMEDIATE succeeds on a read-only file; a table made and undone does not, and leaves nothing
            for statement in ("SAVEPOINT probe", "CREATE TABLE al_loop_probe (x)", "ROLLBACK TO probe"):
                connection.exec_driver_sql(statement)
            return
        may_insert = sa.select(sa.func.bool_and(sa.func.has_table_privilege(sa.column("t"), "INSERT"))).select_from(
            sa.func.unnest(sa.cast(list(_metadata.tables), sa.ARRAY(sa.Text))).alias("t")
        )
        if connection.scalar(sa.text("SHOW transaction_read_only")) == "on" or not connection.scalar(may_insert):
            raise ConfigError(f"ledger {self.name}: cannot be written by this user; ask for the right to INSERT")

    # -- running statements ------------------------------------------------------------------------------------------

    def _read(self, action: Callable[[Connection], T]) -> T:
        return self._try(lambda _: self._within(action, write=False))

    def _write(self, action: Callable[[Connection, bool], T]) -> T:
        """Runs ``action(connection, is_retry)`` in one transaction, committed and durable when this returns."""
        if self._read_only:
            raise CampaignError(f"ledger {self.name}: opened for reading only")
        with self._lock:
            return self._try(lambda n: self._within(lambda connection: action(connection, n > 0), write=True))

    def _within(self, action: Callable[[Connection], T], *, write: bool) -> T:
        with self._engine.connect().execution_options(ledger_write=write) as connection, connection.begin():
            if write and self._engine.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            return action(connection)

    def _try(self, step: Callable[[int], T]) -> T:
        began, n, is_told = time.monotonic(), 0, False
        while True:
            try:
                return step(n)
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                waited_s = time.monotonic() - began
                if waited_s >= self.patience_s or not _is_transient(error):
                    raise CampaignError(
                        f"ledger {self.name}: {first_line(error)}; what was committed is safe, "
                        "put this right and run the same command again"
                    ) from error
                pause_s = min(_pause_s(n), max(self.patience_s - waited_s, 0.0))
                if waited_s + pause_s > _SILENT_S and not is_told:
                    is_told = True
                    self._on_wait(
                        f"the ledger {self.name} cannot be used at present ({first_line(error)}); "
                        f"it is tried again for {self.patience_s:g} s, and nothing is lost meanwhile"
                    )
                time.sleep(pause_s)
                n += 1

    # -- the campaign ------------------------------------------------------------------------------------------------

    def begin_campaign(
        self,
        *,
        name: str,
        config: Mapping[str, Any],
        fingerprint: str,
        seed: int,
        objectives: Sequence[Objective],
        versions: Mapping[str, str],
    ) -> bool:
        """Records the campaign, or finds it again, and records this process start. True where the campaign is new.

        Raises ConfigError where the ledger holds a campaign of another fingerprint.
        """
        now = datetime.now(UTC)
        wanted = {"config": _clean(config), "seed": int(seed), "objectives": [asdict(o) for o in objectives]}
        session = {
            "started": now,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "versions": dict(versions),
            "command": _text(re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", " ".join(sys.argv))),  # no passwords
            "config": wanted["config"],
        }

        def action(connection: Connection, is_retry: bool) -> bool:
            row = connection.execute(sa.select(_campaign)).one_or_none()
            is_new = row is None
            if row is None:
                connection.execute(
                    _campaign.insert().values(
                        id=1, uid=uuid.uuid4().hex, name=name, fingerprint=fingerprint, created=now, **wanted
                    )
                )
            elif row.fingerprint != fingerprint:
                raise ConfigError(self._another_campaign(row, wanted))
            if is_retry and _exists(
                connection, _sessions, started=now, host=session["host"], pid=session["pid"]
            ):  # the first try had arrived
                return bool(row is not None and row.created == now)
            number = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(_sessions.c.id), 0)))
            connection.execute(_sessions.insert().values(id=(number or 0) + 1, **session))
            return is_new

        is_new = self._write(action)
        self._n_values = len(objectives)
        return is_new

    def _another_campaign(self, row: Any, wanted: Mapping[str, Any]) -> str:
        old, new = row.config, wanted["config"]
        differing = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
        differing += [
            key for key in ("seed", "objectives") if getattr(row, key) != wanted[key] and key not in differing
        ]
        what = (
            f"different: {', '.join(differing)}" if differing else "the same config, but other code or data behind it"
        )
        return (
            f"ledger {self.name}: holds another campaign, {row.name!r} ({what}); "
            "start this one with another --run-dir, or go on with the config of that one"
        )

    def campaign(self) -> CampaignRow | None:
        """The campaign, or ``None`` in a ledger that has not begun."""
        row = self._read(lambda c: c.execute(sa.select(_campaign)).one_or_none())
        if row is None:
            return None
        objectives = tuple(Objective(**o) for o in row.objectives)
        return CampaignRow(row.name, row.config, row.fingerprint, row.seed, objectives, row.created, row.uid)

    # -- rounds ------------------------------------------------------------------------------------------------------

    def open_round(
        self,
        number: int,
        batch: Sequence[Proposal],
        *,
        seed: int,
        seconds: Mapping[str, float],
        info: Mapping[str, Any],
    ) -> list[Candidate]:
        """Commits a round and its batch, all or nothing; rounds count from 0, without gaps.

        seconds: of each phase that led to the batch; info: what is worth knowing about it (JSON types).

        Raises CampaignError where the round exists or an object was proposed before.
        """
        if not batch:
            raise CampaignError(f"round {number}: the batch is empty")
        now = datetime.now(UTC)
        hashes = [_sha256(p.object) for p in batch]
        keys = [(key, p.fidelity) for key, p in zip(hashes, batch, strict=True)]
        if len(set(keys)) < len(keys):
            twice = next(p.object for i, p in enumerate(batch) if keys[i] in keys[:i])
            raise CampaignError(f"round {number}: {twice!r:.80} is in the batch twice")
        for proposal in batch:
            if proposal.object != _text(proposal.object):
                raise CampaignError(f"round {number}: object {proposal.object!r:.80} is not storable text")

        def action(connection: Connection, is_retry: bool) -> list[Candidate]:
            if is_retry and _exists(connection, _rounds, number=number, opened=now):
                return _candidate_rows(connection, _candidates.c.round == number)
            if not _exists(connection, _campaign):
                raise CampaignError(f"round {number}: the ledger has no campaign yet; call begin_campaign first")
            last = connection.scalar(sa.select(sa.func.max(_rounds.c.number)))
            expected = 0 if last is None else last + 1
            if number != expected:
                raise CampaignError(f"round {number} cannot be opened; the next one of this ledger is {expected}")
            columns = (_candidates.c.object_sha256, _candidates.c.fidelity, _candidates.c.object)
            there = connection.execute(sa.select(*columns).where(_candidates.c.object_sha256.in_(hashes)))
            known = [name for key, fidelity, name in there if (key, fidelity) in keys]
            if known:
                names = ", ".join(f"{o!r:.80}" for o in known[:3])
                raise CampaignError(f"round {number}: proposed in an earlier round already: {names}")
            first = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(_candidates.c.id), 0))) or 0
            rows = [
                Candidate(
                    id=first + 1 + position,
                    round=number,
                    position=position,
                    object=p.object,
                    origin=p.origin,
                    predicted_mean=_finite(p.predicted_mean),
                    predicted_std=_finite(p.predicted_std),
                    acquisition=_finite(p.acquisition),
                    fidelity=p.fidelity,
                )
                for position, p in enumerate(batch)
            ]
            connection.execute(
                _rounds.insert().values(number=number, opened=now, seed=seed, seconds=seconds, info=info)
            )
            connection.execute(
                _candidates.insert(),
                [asdict(r) | {"object_sha256": key, "created": now} for r, key in zip(rows, hashes, strict=True)],
            )
            return rows

        return self._write(action)

    def close_round(self, number: int, *, metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
        """Commits the report of a round; once."""
        now = datetime.now(UTC)

        def action(connection: Connection, is_retry: bool) -> None:
            if is_retry and _exists(connection, _round_reports, round=number, closed=now):
                return
            if not _exists(connection, _rounds, number=number):
                raise CampaignError(f"round {number} cannot be closed: it was never opened")
            if _exists(connection, _round_reports, round=number):
                raise CampaignError(f"round {number} is closed already")
            connection.execute(
                _round_reports.insert().values(round=number, closed=now, metrics=metrics, seconds=seconds)
            )

        self._write(action)

    def last_round(self) -> int | None:
        """The number of the newest round, ``None`` before the first."""
        number: int | None = self._read(lambda c: c.scalar(sa.select(sa.func.max(_rounds.c.number))))
        return number

    def is_closed(self, number: int) -> bool:
        """Whether the round's report is committed."""
        return self._read(lambda c: _exists(c, _round_reports, round=number))

    # -- decisions -----------------------------------------------------------------------------------------------------

    def decide(
        self,
        number: int,
        *,
        vetoes: Mapping[int, str],
        pins: Mapping[str, str],
        approve: bool,
        by: str,
        reason: str = "",
        fidelity: str = "",
    ) -> list[Candidate]:
        """Commits what a person decided of the batch of a round, all or nothing; returns the pinned candidates.

        A vetoed candidate is never measured, nor proposed again. A pinned object becomes a further candidate, which can
        be vetoed like any other. After the approval nothing more can be decided.

        Args:
            number: the round, which must be the last.
            vetoes: why each candidate must not be measured, by its id.
            pins: why each object is to be measured, too.
            approve: whether the batch may go out then.
            by: who decides.
            reason: of the approval; it may be empty.
            fidelity: at which pinned objects are to be measured.

        Raises:
            CampaignError: one of the decisions cannot be taken, and so none is.
        """
        now = datetime.now(UTC)
        for which, why in (*vetoes.items(), *pins.items()):
            if not why.strip():
                raise CampaignError(f"no reason is given for {which!s:.80}; say why, it is kept with the decision")
        if not by.strip():
            raise CampaignError("nobody is named who decides; it is kept with the decision")
        for name in pins:
            if not name or name != _text(name):
                raise CampaignError(f"object {name!r:.80} is not storable text")

        def action(connection: Connection, is_retry: bool) -> list[Candidate]:
            d = _decisions
            if is_retry and _exists(connection, d, round=number, decided=now, decided_by=_text(by)):
                pinned = sa.select(d.c.candidate_id).where(d.c.decided == now, d.c.action == "pin")
                return _candidate_rows(connection, _candidates.c.id.in_(pinned))
            if number != connection.scalar(sa.select(sa.func.max(_rounds.c.number))):
                raise CampaignError(f"round {number} is not the last one; what went out cannot be changed any more")
            if _exists(connection, d, round=number, action="approve"):
                raise CampaignError(f"round {number} was approved already; what went out cannot be changed any more")
            self._check_vetoes(connection, number, list(vetoes))
            hashes = {_sha256(name): name for name in pins}
            known = connection.scalars(
                sa.select(_candidates.c.object).where(
                    _candidates.c.object_sha256.in_(hashes), _candidates.c.fidelity == fidelity
                )
            ).all()
            if known:
                raise CampaignError(f"{known[0]!r:.80} was proposed already, so it cannot be pinned")
            ids = self._add_candidates(connection, list(pins), now, origin="pinned", fidelity=fidelity)
            rows: list[tuple[str, int | None, str]] = [("veto", i, why) for i, why in vetoes.items()]
            rows += [("pin", ids[name], why) for name, why in pins.items()]
            rows += [("approve", None, reason)] if approve else []
            if approve and not _exists(connection, _evaluations):
                batch = connection.scalars(sa.select(_candidates.c.id).where(_candidates.c.round == number)).all()
                if not {*batch} - self._vetoed(connection, batch) - {*vetoes}:
                    raise CampaignError("nothing would be measured at all, so nothing could be learned; pin something")
            first = (connection.scalar(sa.select(sa.func.max(d.c.id))) or 0) + 1
            for i, (what, candidate_id, why) in enumerate(rows):
                connection.execute(
                    d.insert().values(
                        id=first + i,
                        round=number,
                        candidate_id=candidate_id,
                        action=what,
                        reason=_text(why),
                        decided_by=_text(by),
                        decided=now,
                    )
                )
            return _candidate_rows(connection, _candidates.c.id.in_(list(ids.values())))

        return self._write(action)

    def _check_vetoes(self, connection: Connection, number: int, ids: Sequence[int]) -> None:
        rounds = _pairs(connection, sa.select(_candidates.c.id, _candidates.c.round).where(_candidates.c.id.in_(ids)))
        answered, attempts = self._is_answered(connection, ids), self._n_attempts(connection, ids)
        vetoed = self._vetoed(connection, ids)
        for id_ in ids:
            if rounds.get(id_) != number:
                raise CampaignError(f"candidate {id_} is not in the batch of round {number}")
            if answered.get(id_) or attempts.get(id_):
                raise CampaignError(f"candidate {id_} is being measured or has its answer, so it cannot be vetoed")
            if id_ in vetoed:
                raise CampaignError(f"candidate {id_} was vetoed already")

    def stop(self, reason: str) -> None:
        """Commits why the campaign ends after the last round; nothing where there is no round yet."""
        now = datetime.now(UTC)

        def action(connection: Connection, is_retry: bool) -> None:
            d, number = _decisions, connection.scalar(sa.select(sa.func.max(_rounds.c.number)))
            facts = {"round": number, "action": "stop", "reason": _text(reason), "decided": now}
            if number is not None and not (is_retry and _exists(connection, d, **facts)):
                id_ = (connection.scalar(sa.select(sa.func.max(d.c.id))) or 0) + 1
                connection.execute(d.insert().values(id=id_, **facts, decided_by="al-loop"))

        self._write(action)

    def decisions(self) -> list[Decision]:
        """Everything that people and the campaign's rules decided, in order."""
        query = sa.select(_decisions).order_by(_decisions.c.id)
        rows = self._read(lambda c: c.execute(query).mappings().all())
        return [
            Decision(r["round"], r["action"], r["candidate_id"], r["reason"], r["decided_by"], r["decided"])
            for r in rows
        ]

    def vetoed(self) -> set[int]:
        """The ids of the candidates that people vetoed."""
        query = sa.select(_decisions.c.candidate_id).where(_decisions.c.action == "veto")
        return self._read(lambda c: set(c.scalars(query)))

    def is_approved(self, number: int) -> bool:
        """Whether a person let the batch of a round go out."""
        return self._read(lambda c: _exists(c, _decisions, round=number, action="approve"))

    def has_gone_out(self, number: int) -> bool:
        """Whether a person let the batch of a round go out, or some of it was asked for without anybody's leave."""
        of_round = sa.select(_candidates.c.id).where(_candidates.c.round == number)
        begun = sa.select(sa.literal(1)).where(_attempts.c.candidate_id.in_(of_round)).limit(1)
        return self.is_approved(number) or self._read(lambda c: c.scalar(begun)) is not None

    # -- answers -----------------------------------------------------------------------------------------------------

    def begin_attempts(self, candidate_ids: Sequence[int], worker: str | Mapping[int, str]) -> dict[int, int]:
        """Records that the oracle is about to be called for candidates; returns each one's attempt number, from 1.

        worker: who calls, for all of them or for each.

        Raises CampaignError where a candidate is unknown, was vetoed or has its answer; then none is recorded.
        """
        now = datetime.now(UTC)
        ids = list(dict.fromkeys(candidate_ids))
        workers = {id_: _text(worker if isinstance(worker, str) else worker[id_]) for id_ in ids}

        def action(connection: Connection, is_retry: bool) -> dict[int, int]:
            of_these = _attempts.c.candidate_id.in_(ids)
            if is_retry:
                mine = sa.select(_attempts.c.candidate_id, _attempts.c.number).where(
                    of_these, _attempts.c.started == now, _attempts.c.worker.in_(set(workers.values()))
                )
                if arrived := _pairs(connection, mine):
                    return arrived
            is_answered, vetoed = self._is_answered(connection, ids), self._vetoed(connection, ids)
            for id_ in ids:
                self._require_open(id_, is_answered, vetoed)
            last = self._n_attempts(connection, ids)
            numbers = {id_: last.get(id_, 0) + 1 for id_ in ids}
            rows = [{"candidate_id": i, "number": numbers[i], "started": now, "worker": workers[i]} for i in ids]
            connection.execute(_attempts.insert(), rows)
            return numbers

        return self._write(action) if ids else {}

    def begin_attempt(self, candidate_id: int, worker: str) -> int:
        """As ``begin_attempts``, of one candidate."""
        return self.begin_attempts([candidate_id], worker)[candidate_id]

    def commit_answers(self, answers: Sequence[Answer]) -> list[str | None]:
        """Commits answers; what is not a full set of finite values becomes a permanent failure.

        Returns for each answer None: it is in the ledger (the very same one may be committed again), or why it was not
        accepted: its candidate is unknown, was vetoed, or has another answer.
        """
        rows = [self._row(answer) for answer in answers]

        def action(connection: Connection, is_retry: bool) -> list[str | None]:
            ids = [row["candidate_id"] for row in rows]
            is_answered, attempts = self._is_answered(connection, ids), self._n_attempts(connection, ids)
            vetoed = self._vetoed(connection, ids)
            conflicting = [i for i in ids if is_answered.get(i)]
            there: dict[int, Mapping[str, Any]] = {}
            if conflicting:
                query = sa.select(_evaluations).where(_evaluations.c.candidate_id.in_(conflicting))
                there = {row["candidate_id"]: dict(row) for row in connection.execute(query).mappings()}
            new: list[dict[str, Any]] = []
            refused: list[str | None] = []
            for row in rows:
                id_ = row["candidate_id"]
                before = there.get(id_)
                if before is not None and all(before[key] == row[key] for key in _SAME_ANSWER):
                    refused.append(None)
                    continue
                try:
                    self._require_open(id_, is_answered, vetoed)
                except CampaignError as error:
                    refused.append(str(error))
                    continue
                refused.append(None)
                is_answered[id_] = True
                there[id_] = row
                new.append({**row, "attempts": attempts.get(id_, 0), "revision": 0})
            self._insert_answers(connection, new)
            return refused

        return self._write(action) if rows else []

    def commit_answer(
        self, candidate_id: int, outcome: Outcome, *, worker: str, started: datetime, finished: datetime
    ) -> None:
        """As ``commit_answers``, of one candidate; raises CampaignError where it is not accepted."""
        (refused,) = self.commit_answers([Answer(candidate_id, outcome, worker, started, finished)])
        if refused is not None:
            raise CampaignError(refused)

    def commit_told(
        self, answers: Sequence[Answer], corrections: Sequence[Answer], extra: Mapping[str, Answer]
    ) -> None:
        """Commits what people measured, all or nothing.

        Args:
            answers: first answers of candidates.
            corrections: answers that take the place of earlier ones, which stay as earlier revisions.
            extra: answers for objects that were never proposed, by object (their candidate_id says nothing); they enter
                as further candidates of the last round.

        Raises:
            CampaignError: one of them is not accepted, and so none is.
        """
        first, further = [self._row(a) for a in answers], [self._row(a) for a in corrections]
        new = {name: self._row(a) for name, a in extra.items()}
        now = datetime.now(UTC)

        def action(connection: Connection, is_retry: bool) -> None:
            rows = [*first, *further, *new.values()]
            if is_retry and rows:
                stamp = rows[0]
                if _exists(connection, _evaluations, **{k: stamp[k] for k in ("worker", "started", "finished")}):
                    return
            ids = [row["candidate_id"] for row in (*first, *further)]
            is_answered, attempts = self._is_answered(connection, ids), self._n_attempts(connection, ids)
            vetoed = self._vetoed(connection, ids)
            for row in first:
                self._require_open(row["candidate_id"], is_answered, vetoed)
            query = sa.select(_evaluations.c.candidate_id, sa.func.max(_evaluations.c.revision)).group_by(
                _evaluations.c.candidate_id
            )
            revisions = _pairs(connection, query.where(_evaluations.c.candidate_id.in_(ids)))
            lacking = [row["candidate_id"] for row in further if row["candidate_id"] not in revisions]
            if lacking:
                raise CampaignError(f"candidate {lacking[0]} has no answer to correct")
            extra_ids = self._add_candidates(connection, list(new), now)
            for row in (*first, *further):
                id_ = row["candidate_id"]
                row |= {"attempts": attempts.get(id_, 0), "revision": revisions.get(id_, -1) + 1}
            for name, row in new.items():
                row |= {"candidate_id": extra_ids[name], "attempts": 0, "revision": 0}
            self._insert_answers(connection, rows)

        self._write(action)

    def _add_candidates(
        self, connection: Connection, objects: Sequence[str], now: datetime, origin: str = "told", fidelity: str = ""
    ) -> dict[str, int]:
        """Further candidates of the last round, which the campaign did not propose."""
        if not objects:
            return {}
        last = connection.scalar(sa.select(sa.func.max(_rounds.c.number)))
        if last is None:
            raise CampaignError("the ledger has no round yet, so nothing can be told")
        position = sa.select(sa.func.max(_candidates.c.position)).where(_candidates.c.round == last)
        first_position = (connection.scalar(position) or 0) + 1
        first_id = (connection.scalar(sa.select(sa.func.max(_candidates.c.id))) or 0) + 1
        rows = [
            {
                **asdict(Candidate(first_id + i, last, first_position + i, name, origin, fidelity=fidelity)),
                "object_sha256": _sha256(name),
                "created": now,
            }
            for i, name in enumerate(objects)
        ]
        connection.execute(_candidates.insert(), rows)
        return {row["object"]: row["id"] for row in rows}

    def _row(self, answer: Answer) -> dict[str, Any]:
        outcome = as_outcome(answer.outcome, self._number_of_values())
        failure = outcome.failure
        return {
            "candidate_id": answer.candidate_id,
            "values": None if outcome.values is None else [float(v) for v in outcome.values],
            "noise": None if outcome.noise is None else [float(v) for v in outcome.noise],
            "failure_kind": None if failure is None else failure.kind,
            "failure_reason": None if failure is None else _text(str(failure.reason)),
            "cost": _finite(outcome.cost),
            "seconds": (answer.finished - answer.started).total_seconds(),
            "started": answer.started,
            "finished": answer.finished,
            "worker": _text(answer.worker),
            "info": dict(outcome.info),
            "artifacts": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in outcome.artifacts.items()
                if isinstance(content, bytes)  # as_outcome has read them all
            },
        }

    @staticmethod
    def _insert_answers(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        number = connection.scalar(sa.select(sa.func.max(_evaluations.c.number))) or 0
        closed = connection.scalar(sa.select(sa.func.max(_round_reports.c.round)))
        arrived = 0 if closed is None else closed + 1
        numbered = [{**row, "number": number + 1 + i, "arrived": arrived} for i, row in enumerate(rows)]
        connection.execute(_evaluations.insert(), numbered)

    def _number_of_values(self) -> int:
        if self._n_values is None:
            campaign = self.campaign()
            if campaign is None:
                raise CampaignError("the ledger has no campaign yet; call begin_campaign first")
            self._n_values = len(campaign.objectives)
        return self._n_values

    @staticmethod
    def _is_answered(connection: Connection, candidate_ids: Sequence[int]) -> dict[int, bool]:
        """Whether each candidate has an answer; one that is not in the ledger is not in the result."""
        has_first = (_evaluations.c.candidate_id == _candidates.c.id) & (_evaluations.c.revision == 0)
        query = (
            sa.select(_candidates.c.id, _evaluations.c.candidate_id)
            .outerjoin(_evaluations, has_first)
            .where(_candidates.c.id.in_(candidate_ids))
        )
        return {id_: answered is not None for id_, answered in connection.execute(query)}

    @staticmethod
    def _n_attempts(connection: Connection, candidate_ids: Sequence[int]) -> dict[int, int]:
        query = (
            sa.select(_attempts.c.candidate_id, sa.func.max(_attempts.c.number))
            .where(_attempts.c.candidate_id.in_(candidate_ids))
            .group_by(_attempts.c.candidate_id)
        )
        return _pairs(connection, query)

    @staticmethod
    def _vetoed(connection: Connection, candidate_ids: Sequence[int]) -> set[int]:
        query = sa.select(_decisions.c.candidate_id).where(
            _decisions.c.candidate_id.in_(candidate_ids), _decisions.c.action == "veto"
        )
        return set(connection.scalars(query))

    @staticmethod
    def _require_open(candidate_id: int, is_answered: Mapping[int, bool], vetoed: set[int]) -> None:
        if candidate_id not in is_answered:
            raise CampaignError(f"candidate {candidate_id} is not in the ledger")
        if candidate_id in vetoed:
            raise CampaignError(f"candidate {candidate_id} was vetoed")
        if is_answered[candidate_id]:
            raise CampaignError(f"candidate {candidate_id} has its answer already")

    # -- reading -----------------------------------------------------------------------------------------------------

    def pending(self) -> list[Candidate]:
        """The candidates without an answer that nobody vetoed, in order."""
        answered = sa.select(_evaluations.c.candidate_id)
        vetoed = sa.select(_decisions.c.candidate_id).where(_decisions.c.action == "veto")
        return self._read(
            lambda c: _candidate_rows(c, _candidates.c.id.not_in(answered), _candidates.c.id.not_in(vetoed))
        )

    def in_flight(self) -> dict[Candidate, int]:
        """The pending candidates that the oracle was called for (and perhaps paid), each with how often."""
        answered = sa.select(_evaluations.c.candidate_id)
        query = (
            sa.select(_attempts.c.candidate_id, sa.func.count())
            .where(_attempts.c.candidate_id.not_in(answered))
            .group_by(_attempts.c.candidate_id)
        )

        def action(connection: Connection) -> dict[Candidate, int]:
            counts = _pairs(connection, query)
            attempted = _candidates.c.id.in_(sa.select(_attempts.c.candidate_id))
            rows = _candidate_rows(connection, _candidates.c.id.not_in(answered), attempted)
            # a call may have begun between the two queries
            return {candidate: counts[candidate.id] for candidate in rows if candidate.id in counts}

        return self._read(action)

    def candidates(self) -> list[Candidate]:
        """Every candidate, in order."""
        return self._read(lambda c: _candidate_rows(c))

    def known_objects(self) -> set[str]:
        """Every object ever proposed."""
        return self._read(lambda c: set(c.scalars(sa.select(_candidates.c.object))))

    def observations(self, until: int | None = None) -> list[Observation]:
        """Every answer with its object, in the order of the candidates.

        until: the answers up to this number alone, as they were known then.
        """
        e = _evaluations
        query = (
            sa.select(
                _candidates.c.object,
                e.c["values"],
                e.c.failure_kind,
                _candidates.c.round,
                e.c.arrived,
                e.c.noise,
                _candidates.c.fidelity,
                e.c.cost,
                e.c.seconds,
            )
            .join(_candidates, _candidates.c.id == e.c.candidate_id)
            .where(_is_latest(until))
            .order_by(_candidates.c.id)
        )
        rows = self._read(lambda c: c.execute(query).all())
        return [
            Observation(o, _floats(v), kind, r, a, _floats(noise), f, cost, seconds)
            for o, v, kind, r, a, noise, f, cost, seconds in rows
        ]

    def evaluations(self, *, has_all_revisions: bool = False) -> list[EvaluationRow]:
        """Every answer, in the order of the candidates; has_all_revisions: also those that were corrected since."""
        query = sa.select(_evaluations).order_by(_evaluations.c.candidate_id, _evaluations.c.revision)
        if not has_all_revisions:
            query = query.where(_is_latest())
        as_they_are = ("cost", "seconds", "started", "finished", "worker", "attempts", "info", "artifacts", "number")
        return [
            EvaluationRow(
                candidate_id=row["candidate_id"],
                values=_floats(row["values"]),
                noise=_floats(row["noise"]),
                failure=None if row["failure_kind"] is None else Failure(row["failure_kind"], row["failure_reason"]),
                arrived=row["arrived"],
                revision=row["revision"],
                **{key: row[key] for key in as_they_are},
            )
            for row in self._read(lambda c: c.execute(query).mappings().all())
        ]

    def n_answers(self) -> int:
        """How many answers were committed, corrections included: the number of the newest."""
        return int(self._read(lambda c: c.scalar(sa.select(sa.func.max(_evaluations.c.number)))) or 0)

    def answered_since(self, number: int) -> tuple[int, dict[int, bool]]:
        """The number of the newest answer, and the candidates answered after that number: whether with a value."""
        e = _evaluations
        query = sa.select(e.c.number, e.c.candidate_id, e.c.failure_kind).where(e.c.number > number)
        rows = self._read(lambda c: c.execute(query.order_by(e.c.number)).all())
        return (rows[-1][0] if rows else number), {id_: kind is None for _, id_, kind in rows}

    def n_calls(self) -> int:
        """How often the oracle was called, retries included."""
        return int(self._read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(_attempts))) or 0)

    def attempts(self) -> list[AttemptRow]:
        """Every call of the oracle, by candidate and number."""
        query = sa.select(_attempts).order_by(_attempts.c.candidate_id, _attempts.c.number)
        return [AttemptRow(**row) for row in self._read(lambda c: c.execute(query).mappings().all())]

    def rounds(self) -> list[RoundRow]:
        """Every round with its report, in order."""
        query = (
            sa.select(
                _rounds,
                _round_reports.c.closed,
                _round_reports.c.metrics,
                _round_reports.c.seconds.label("closing_seconds"),
            )
            .outerjoin(_round_reports, _round_reports.c.round == _rounds.c.number)
            .order_by(_rounds.c.number)
        )
        return [RoundRow(**row) for row in self._read(lambda c: c.execute(query).mappings().all())]

    def sessions(self) -> list[SessionRow]:
        """Every process start, in order."""
        query = sa.select(_sessions).order_by(_sessions.c.id)
        return [SessionRow(**row) for row in self._read(lambda c: c.execute(query).mappings().all())]

    def cost(self) -> float:
        """The sum of all recorded costs, in the oracle's currency; what is in flight is not in it."""
        return float(self._read(lambda c: c.scalar(sa.select(sa.func.sum(_evaluations.c.cost)))) or 0.0)

    # -- closing -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes the connections; every committed row is on disk already."""
        engine = getattr(self, "_engine", None)
        if engine is not None:
            with suppress(sa.exc.SQLAlchemyError):
                engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


#: what an answer that is committed once more has in common with the first
_SAME_ANSWER: Final = ("worker", "started", "finished", "values", "failure_kind", "failure_reason", "cost")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _floats(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))


def _is_latest(until: int | None = None) -> sa.ColumnElement[bool]:
    """Of each candidate's answers the latest; until: of those up to this number."""
    later = _evaluations.alias("later")
    is_corrected = (later.c.candidate_id == _evaluations.c.candidate_id) & (later.c.revision > _evaluations.c.revision)
    if until is None:
        return ~sa.exists().where(is_corrected)
    return (_evaluations.c.number <= until) & ~sa.exists().where(is_corrected & (later.c.number <= until))


def _pairs(connection: Connection, query: sa.Select[Any]) -> dict[int, int]:
    """The rows of a query of two whole numbers: the second by the first."""
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}


def _exists(connection: Connection, table: sa.Table, **where: object) -> bool:
    query = sa.select(sa.literal(1)).select_from(table).where(*(table.c[k] == v for k, v in where.items())).limit(1)
    return connection.scalar(query) is not None


def _candidate_rows(connection: Connection, *where: sa.ColumnElement[bool]) -> list[Candidate]:
    names = list(Candidate.__dataclass_fields__)
    query = sa.select(*(_candidates.c[name] for name in names)).where(*where).order_by(_candidates.c.id)
    return [Candidate(**row) for row in connection.execute(query).mappings()]
