"""Calls of a database that end in time: locks, silent servers, and stops."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError
from al_loop.ledger import Ledger
from al_loop.system.stopping import Stopped, StopRequest
from benchmarks.support.postgresql import PostgresqlServer
from tests.support.ledgers import begin


@contextmanager
def silent(url: str) -> Iterator[None]:
    """Stop the server's processes of a database, so that they neither answer nor close the connection."""
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        pids = [row[0] for row in connection.execute(sa.text(query))]
    postmaster = psutil.Process(pids[0]).ppid()
    for pid in [postmaster, *pids]:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in [postmaster, *pids]:
            os.kill(pid, signal.SIGCONT)


def test_a_silent_server_is_given_up_after_the_patience(server: PostgresqlServer) -> None:
    url = server.new_database()
    with Ledger(url, patience_s=3) as ledger:
        begin(ledger)
        with silent(url):
            began = time.monotonic()
            with pytest.raises(CampaignError):
                ledger.stop("no answer")
            assert time.monotonic() - began < 60
        ledger.stop("answers again")


def test_a_stop_ends_the_wait_for_a_silent_server(server: PostgresqlServer) -> None:
    url = server.new_database()
    request = StopRequest()
    with Ledger(url, patience_s=3600) as ledger:
        begin(ledger)
        with silent(url), request.in_force():
            threading.Timer(0.3, request.make).start()
            with pytest.raises(Stopped):
                ledger.rounds()


def test_a_locked_file_is_given_up_after_the_patience_and_at_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    request = StopRequest()
    with Ledger(f"sqlite:///{path}", patience_s=1) as ledger, Ledger(f"sqlite:///{path}", patience_s=3600) as patient:
        begin(ledger)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CampaignError, match="locked"):
                begin(ledger)
            threading.Timer(0.3, request.make).start()
            with request.in_force(), pytest.raises(Stopped):
                begin(patient)
            threading.Timer(0.3, patient.stop_waiting).start()
            with pytest.raises(CampaignError, match="locked"):
                begin(patient)


def test_a_thread_that_waits_for_another_write_hears_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    request = StopRequest()
    with Ledger(f"sqlite:///{path}", patience_s=3600) as ledger:
        begin(ledger)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            worker = threading.Thread(target=ledger.stop, args=["waits"], daemon=True)
            worker.start()
            request.make()
            with request.in_force(), pytest.raises(Stopped):
                ledger.stop("waits for the other thread")
        worker.join(60)
        assert not worker.is_alive()
