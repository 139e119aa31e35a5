"""Faults of the ledger's database: locked, full, cut off before or after a commit; and a kill at any statement."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any
from unittest import mock

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

from al_loop.ledger import call_limits
from benchmarks.support.simulation.disk import Disk
from benchmarks.support.simulation.scheduler import World

_WRITES = ("INSERT", "UPDATE", "CREATE", "COMMIT")


class SimulatedDatabase:
    """The faults of a database.

    Args:
        world: whose seed draws them.
        disk: that it is on.
    """

    def __init__(self, world: World, disk: Disk) -> None:
        self._world, self._disk = world, disk
        self.locked_until = 0.0
        #: chance that a statement, or a commit, loses the connection
        self.cut_rate = 0.0

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the statements of this process meet the faults."""
        commit = DefaultDialect.do_commit
        database = self

        def committed(dialect: DefaultDialect, connection: Any) -> None:
            database._before("COMMIT")
            commit(dialect, connection)
            database._after_commit()

        def executed(cursor: Any, statement: str, *rest: Any) -> None:
            database._before(statement)

        names = ("do_execute", "do_executemany", "do_execute_no_params")
        for name in names:
            sa.event.listen(Engine, name, executed)
        try:
            with (
                mock.patch.object(DefaultDialect, "do_commit", committed),
                mock.patch.object(call_limits, "_LOCK_CALL_S", 0.0),  # SQLite would wait by the real clock
            ):
                yield
        finally:
            for name in names:
                sa.event.remove(Engine, name, executed)

    def _before(self, statement: str) -> None:
        world = self._world
        if not world.is_simulated():
            return
        verb = statement.split(None, 1)[0].upper() if statement else ""
        world.switch(f"sql {verb} {statement.split()[2] if verb == 'INSERT' else ''}".rstrip())
        if not world.task.process.is_exposed:
            return
        if world.now < self.locked_until and statement.startswith("BEGIN IMMEDIATE"):
            raise sqlite3.OperationalError("database is locked")
        if self._disk.is_full and verb in _WRITES:
            raise sqlite3.OperationalError("database or disk is full")
        if self.cut_rate and world.chance.random() < self.cut_rate:
            world.fault("connection lost")
            raise sqlite3.OperationalError("server closed the connection unexpectedly")

    def _after_commit(self) -> None:
        world = self._world
        if not world.is_simulated():
            return
        world.switch("committed")
        if world.task.process.is_exposed and self.cut_rate and world.chance.random() < self.cut_rate:
            world.fault("connection lost after the commit")
            raise sqlite3.OperationalError("server closed the connection unexpectedly")
