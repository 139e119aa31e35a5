"""The database behind a ledger: opening, retries of transient faults, and read and write transactions."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from al_loop.errors import CampaignError, ConfigError, summary
from al_loop.ledger import migrations, schema, seals, verification
from al_loop.ledger.call_limits import CallLimit
from al_loop.ledger.checked_file import CheckedFile
from al_loop.ledger.engines import make_engine, parse_url
from al_loop.ledger.faults import is_damage, is_locked, is_transient, pause_s, try_a_few_times
from al_loop.ledger.seals import Head
from al_loop.outgoing import redact
from al_loop.system import stopping
from al_loop.system.private_files import make_private_folder
from al_loop.system.version import version as own_version

PATIENCE_S: Final = 10.0
_OPENING_S: Final = 30.0  # how long another process may lock a SQLite file that is opened
_SILENT_S: Final = 2.0  # seconds of retrying before ``on_wait`` is called
_LOCK_KEY: Final = 0x616C_6C6F_6F70  # "alloop": the advisory lock of a ledger's writers on PostgreSQL

T = TypeVar("T")
#: a step of a write transaction; the flag is true if an earlier try may have been committed after all
Write = Callable[[Connection, bool], T]


class Database:
    """A SQLite file or a PostgreSQL database with the ledger's tables. Safe to use from many threads.

    Writes are serialised by a lock within the process, and by SQLite's write lock or an advisory lock of PostgreSQL
    between processes. A ledger with an older schema is upgraded when it is opened for writing; when it is opened for
    reading, a temporary copy is upgraded instead, which does not follow later writes.

    Args:
        url: ``sqlite:///RUN/ledger.db`` or ``postgresql+psycopg://user@host/database``.
        read_only: whether every write raises, and the database itself rejects changes.
        patience_s: how long a step is retried after a transient fault, in seconds.
        on_wait: receives one message if the retries take long.

    Raises:
        ConfigError: the database is not reachable or writable, has other contents, or requires a newer al-loop.
    """

    def __init__(self, url: str | URL, *, read_only: bool, patience_s: float, on_wait: Callable[[str], None]) -> None:
        parsed = parse_url(url)
        self.name = redact(parsed.render_as_string(hide_password=True))
        self.url = parsed.render_as_string(hide_password=False)
        self._parsed = parsed
        self._read_only = read_only
        self._patience_s, self._on_wait = patience_s, on_wait
        self._limit = CallLimit(patience_s)
        self._lock = threading.RLock()
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._is_hurried = False
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        #: the note that all rows were compared, of a file that this process opens as it is
        self._checked: CheckedFile | None = None
        self._verified = Head()  # the last link up to which rows were compared with their checksums
        self._seen = Head()  # the last link that this process has read or written
        self.on_write: Callable[[Head], None] = lambda head: None
        self._engine: Engine | None = None
        try:
            if self._is_sqlite and not str(parsed.database).startswith("file:"):
                self._prepare_path(Path(str(parsed.database)))
                self._checked = CheckedFile(Path(str(parsed.database)))
            self._engine = make_engine(parsed, read_only=read_only, limit=self._limit)
            self._open()
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            self.close()
            raise ConfigError(self._opening_failure(error)) from error
        except BaseException:
            self.close()
            raise

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine."""
        assert self._engine is not None
        return self._engine

    def _prepare_path(self, path: Path) -> None:
        if self._read_only:
            if not path.is_file():
                raise ConfigError(f"ledger {path}: no such file")
            return
        make_private_folder(path.parent)
        with suppress(FileExistsError):  # not for everybody to read, nor are SQLite's files beside it
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    def _opening_failure(self, error: Exception) -> str:
        reason = summary(error)
        if "file is not a database" in reason:
            return f"ledger {self.name}: not a ledger (the file is not a SQLite database); choose another --run-dir"
        if "readonly" in reason or "read-only" in reason:
            return f"ledger {self.name}: cannot be written ({reason}); choose a --run-dir with write permission"
        path = Path(str(self._parsed.database))
        if "unable to open" in reason and path.is_file() and not os.access(path.parent, os.W_OK):
            if self._read_only:
                return (
                    f"ledger {self.name}: cannot be read in a folder without write permission ({reason}), since its "
                    f"last rows are in {path.name}-wal; copy both files to a folder of yours"
                )
            return (
                f"ledger {self.name}: its folder cannot be written ({reason}); choose a --run-dir with write permission"
            )
        remedy = "check the path" if self._is_sqlite else "check the URL and the server"
        return f"ledger {self.name}: cannot be opened ({reason}); {remedy}"

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        # another process may be creating the same SQLite file; a server that is down is reported at once
        number = self._when_unlocked(self._create_or_check) if self._is_sqlite else self._create_or_check()
        if number == schema.SCHEMA_VERSION:
            return
        if self._read_only:
            self._copy = tempfile.TemporaryDirectory(prefix="al-loop-ledger-", ignore_cleanup_errors=True)
            original = self.engine
            self._checked = None
            self._engine = migrations.upgraded_copy(original, Path(self._copy.name) / "ledger.db")
            original.dispose()
        else:
            try:
                self._when_unlocked(self._upgrade)
            finally:
                self.engine.dispose()  # closes the connection without foreign keys

    def _when_unlocked(self, step: Callable[[], T]) -> T:
        """Return the result of a step, which is repeated while another process creates or upgrades the database."""
        began = time.monotonic()
        while True:
            try:
                return try_a_few_times(step)
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                if not is_locked(error) or time.monotonic() - began >= _OPENING_S:
                    raise

    def _create_or_check(self) -> int:
        """Return the version of the schema, after creating the tables in an empty database."""
        with self.engine.execution_options(ledger_write=not self._read_only).begin() as connection:
            if not self._read_only:
                self._take_turn(connection)
            tables = set(sa.inspect(connection).get_table_names())
            if schema.versions.name in tables:
                number = migrations.version_of(connection)
                migrations.require_supported(connection, number, self.name)
                self._require_writable(connection, tables)
                return number
            foreign = tables if self._is_sqlite else tables & set(schema.metadata.tables)
            if foreign or self._read_only:
                reason = f"it has the tables {', '.join(sorted(foreign)[:5])}" if foreign else "it is empty"
                raise ConfigError(f"ledger {self.name}: not a ledger ({reason}); choose another --run-dir or database")
            schema.create_tables(connection)
            return schema.SCHEMA_VERSION

    def _require_writable(self, connection: Connection, tables: set[str]) -> None:
        if self._read_only:
            return
        if self._is_sqlite:
            # BEGIN IMMEDIATE succeeds on a read-only file; creating a table does not, and undoing it leaves no trace
            for statement in ("SAVEPOINT probe", "CREATE TABLE al_loop_probe (x)", "ROLLBACK TO probe"):
                connection.exec_driver_sql(statement)
            return
        names = sorted(tables & set(schema.metadata.tables))
        may_insert = sa.select(sa.func.bool_and(sa.func.has_table_privilege(sa.column("t"), "INSERT"))).select_from(
            sa.func.unnest(sa.cast(names, sa.ARRAY(sa.Text))).alias("t")
        )
        if connection.scalar(sa.text("SHOW transaction_read_only")) == "on" or not connection.scalar(may_insert):
            raise ConfigError(f"ledger {self.name}: cannot be written by this user; ask for the INSERT privilege")

    def _upgrade(self) -> None:
        """Upgrade an older ledger in one transaction, unless another process has done so meanwhile.

        The file of a SQLite ledger is copied to ``ledger.db.schema-<version>.bak`` first.
        """
        options = {"ledger_write": True, "ledger_migration": True}
        with self.engine.connect().execution_options(**options) as connection, connection.begin():
            self._take_turn(connection)
            number = migrations.version_of(connection)
            migrations.require_supported(connection, number, self.name)
            if number == schema.SCHEMA_VERSION:
                return
            writer = migrations.writer_of(connection)
            self._on_wait(
                f"the ledger {self.name} {writer}has schema {number}; this al-loop {own_version()} upgrades it to "
                f"{schema.SCHEMA_VERSION}" + (", and keeps a copy of the file" if self._is_sqlite else "")
            )
            if self._is_sqlite:
                migrations.keep_backup(connection, number)
            try:
                migrations.upgrade(connection, number)
            except sa.exc.ProgrammingError as error:
                if getattr(error.orig, "sqlstate", None) != "42501":  # insufficient privilege
                    raise
                raise ConfigError(
                    f"ledger {self.name}: has schema {number}, and this user may not upgrade it to "
                    f"{schema.SCHEMA_VERSION} ({summary(error)}); open it once as the owner of its tables"
                ) from None

    # -- transactions ------------------------------------------------------------------------------------------------

    def read(self, action: Callable[[Connection], T]) -> T:
        """Run a function in a read transaction, once the rows that are new to this process agree with their checksums.

        Args:
            action: reads through the connection; called again after a transient fault.

        Returns:
            The result of ``action``.

        Raises:
            CampaignError: the database was unavailable for ``patience_s``, or rows are not as they were written.
        """

        def checked(connection: Connection) -> T:
            self._compare(connection)
            return action(connection)

        return self._retry(lambda _: self._transact(checked, write=False))

    def read_unchecked(self, action: Callable[[Connection], T]) -> T:
        """Run a function in a read transaction, whatever the state of the rows; see ``read``."""
        return self._retry(lambda _: self._transact(action, write=False))

    def _compare(self, connection: Connection) -> None:
        """Compare the rows that were added since the last time with their checksums."""
        if self._checked is not None and self._read_only and not self._verified.number:
            now = verification.require_sound_since_note(connection, self.name, self._checked)
        else:
            now = verification.require_sound(connection, self.name, self._verified, is_reader=self._read_only)
        if now.number >= self._verified.number:
            self._verified = now
        if now.number >= self._seen.number:
            self._seen = now

    def write(self, action: Write[T]) -> T:
        """Run a function in a write transaction, which is committed and durable when this returns.

        Args:
            action: writes through the connection. It is called again after a transient fault, with True as second
                argument; it must then check whether an earlier try was committed after all.

        Returns:
            The result of ``action``.

        Raises:
            CampaignError: the database was unavailable for ``patience_s``, or is opened for reading only.
        """
        if self._read_only:
            raise CampaignError(f"ledger {self.name}: opened for reading only")
        with self._own_turn():
            return self._retry(lambda n: self._transact(lambda connection: action(connection, n > 0), write=True))

    @contextmanager
    def _own_turn(self) -> Iterator[None]:
        """Wait for the other threads that write; one of them may be waiting for the database."""
        ends = time.monotonic() + self._patience_s + self._limit.longest_s
        while not self._lock.acquire(timeout=stopping.POLL_S):
            stopping.look()
            if self._is_hurried or time.monotonic() > ends:
                raise CampaignError(f"ledger {self.name}: another write is waiting for the database")
        try:
            yield
        finally:
            self._lock.release()

    def stop_waiting(self) -> None:
        """Stop retrying: running and later steps fail at their next transient fault, or after a moment of silence."""
        self._is_hurried = True
        self._limit.hurry()

    def close(self) -> None:
        """Close the connections; every committed row is on disk already."""
        if self._engine is not None:
            self.checkpoint()
            with suppress(sa.exc.SQLAlchemyError):
                self._engine.dispose()
            self._note_checked()
        if self._copy is not None:
            self._copy.cleanup()

    def _transact(self, action: Callable[[Connection], T], *, write: bool) -> T:
        options: dict[str, Any] = {"ledger_write": write}
        if not write and self.engine.dialect.name != "sqlite":
            options["isolation_level"] = "REPEATABLE READ"  # one snapshot, as on SQLite
        with self.engine.connect().execution_options(**options) as connection:
            with connection.begin():
                if write:
                    self._take_turn(connection)
                    seals.expect(connection, self.name, self._seen)
                result = action(connection)
            if write and (head := seals.written(connection)) is not None:
                self._seen = head
                self.on_write(head)
        return result

    @property
    def is_copy(self) -> bool:
        """Whether a temporary copy of an older ledger is read."""
        return self._copy is not None

    def file_findings(self) -> list[verification.Finding]:
        """Return what SQLite finds wrong with its file; PostgreSQL has checksums of its own."""
        if not self._is_sqlite:
            return []
        with self.engine.connect() as connection:
            problems = connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        found = [
            line
            for text in problems
            for line in str(text).splitlines()
            if line not in ("ok", "*** in database main ***")
        ]
        return [verification.Finding("the file", line, line) for line in found]

    def copy_to(self, path: Path) -> None:
        """Copy the database, as of one moment, to a new SQLite file.

        Args:
            path: the file, which must not exist.
        """
        migrations.copy_database(self.engine, path)

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the file, so that a copy of the file alone is the whole ledger."""
        if not self._is_sqlite or self._read_only:
            return
        # a reader may be at work; the next one will do
        with suppress(sa.exc.SQLAlchemyError, sqlite3.Error), self.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._note_checked()

    def _note_checked(self) -> None:
        """Tell readers of a large ledger up to which row this writer has compared it."""
        if self._checked is not None and not self._read_only and self._verified.last > verification.MANY:
            self._checked.write(self._checked.state(), self._verified)

    def _take_turn(self, connection: Connection) -> None:
        """Wait for the other writers on PostgreSQL; on SQLite the transaction has the write lock already."""
        if not self._is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))

    def _retry(self, step: Callable[[int], T]) -> T:
        began, n, has_reported = time.monotonic(), 0, False
        while True:
            try:
                with self._limit.until(began + self._patience_s):
                    return step(n)
            except (sa.exc.DBAPIError, sqlite3.Error) as error:
                waited_s = time.monotonic() - began
                if is_damage(error):
                    raise verification.DamagedLedger(
                        f"ledger {self.name}: its file is damaged ({summary(error)}); al-loop verify says what can be "
                        "read; restore a copy made by al-loop backup"
                    ) from error
                if self._is_hurried or waited_s >= self._patience_s or not is_transient(error):
                    raise CampaignError(
                        f"ledger {self.name}: {summary(error)}; all committed rows are safe; fix the cause and run "
                        "the same command again"
                    ) from error
                # SQLite has waited for the lock already
                next_pause_s = min(pause_s(0 if is_locked(error) else n), max(self._patience_s - waited_s, 0.0))
                if waited_s + next_pause_s > _SILENT_S and not has_reported:
                    has_reported = True
                    self._on_wait(
                        f"the ledger {self.name} is unavailable ({summary(error)}); retrying for up to "
                        f"{self._patience_s:g} s; answers that arrive are kept meanwhile"
                    )
                stopping.wait_for(lambda: self._is_hurried, next_pause_s)
                n += 1
