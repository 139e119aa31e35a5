"""The part of a ledger that compares its rows with their checksums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from al_loop.ledger import changes, queries, schema, seals, verification
from al_loop.ledger.database import Database
from al_loop.ledger.reader import LedgerReader
from al_loop.ledger.records import Change
from al_loop.ledger.seals import Head
from al_loop.ledger.verification import ACCEPTED, Finding


class SoundLedger(LedgerReader):
    """A ledger with the checksums of its rows.

    Args:
        database: the database of the ledger.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._sound = database

    @property
    def is_upgraded_copy(self) -> bool:
        """Whether an older ledger is read through a copy, whose checksums say nothing about the ledger itself."""
        return self._sound.is_copy

    def head(self) -> Head:
        """Return the last link of the chain of checksums, whatever the state of the rows."""
        return self._sound.read_unchecked(seals.head)

    def findings(self) -> list[Finding]:
        """Return what is not as it was written and nobody has accepted, from a look at the whole ledger."""

        def read(connection: sa.Connection) -> list[Finding]:
            found = list(verification.findings_after(connection, Head()))
            return verification.without_accepted(connection, found) if found else []

        return [*self._sound.file_findings(), *self._sound.read_unchecked(read)]

    def accept(self, findings: list[Finding], reason: str, by: str) -> None:
        """Record that rows are right although they are not as they were written.

        Args:
            findings: what was found.
            reason: why they are right.
            by: the name of the person.
        """
        now = datetime.now(UTC)

        def write(connection: sa.Connection, is_retry: bool) -> None:
            last = queries.last_round(connection)
            number = 0 if last is None else last + 1
            rows = [Change(number, ACCEPTED, f.place, f.problem, f.digest, reason, by, now) for f in findings]
            changes.record_changes(rows)(connection, is_retry)

        if findings:
            self._sound.write(write)

    def replicate(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Add rows of another ledger, all or nothing, to one that is a copy of its beginning.

        Args:
            rows: the rows of each table, without their checksums.
        """

        def write(connection: sa.Connection, is_retry: bool) -> None:
            for table in schema.SEALED:
                seals.insert(connection, table, rows.get(table.name, ()))

        self._sound.write(write)

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the file, so that a copy of the file alone is the whole ledger."""
        self._sound.checkpoint()

    def copy_to(self, path: Path) -> None:
        """Copy the ledger, as of one moment, to a new SQLite file.

        Args:
            path: the file, which must not exist.
        """
        self._sound.copy_to(path)

    def watch(self, on_write: Callable[[Head], None]) -> None:
        """Call a function with the last link of the chain after each write of this process.

        Args:
            on_write: called in the thread that wrote; it must not raise.
        """
        self._sound.on_write = on_write
