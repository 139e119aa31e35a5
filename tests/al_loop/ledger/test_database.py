"""Opening, refusing, waiting and reconnecting, on SQLite and PostgreSQL alike."""

import contextlib
import os
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Candidate, Ledger
from al_loop.oracles.base import Outcome
from benchmarks.support.postgresql import PostgresqlServer
from tests.support.ledgers import (
    answer,
    begin,
    begin_attempt,
    engine_of,
    open_round,
    postgresql_only,
    sqlite_only,
)


def fill(disk: Path) -> None:
    """Leaves no room on a file system."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_opening_a_new_ledger_from_many_threads_creates_it_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        for ledger in pool.map(lambda _: Ledger(url), range(4)):
            ledger.close()


def test_a_read_only_ledger_reads_and_never_writes(url: str, ledger: Ledger) -> None:
    open_round(ledger, 0, "A")
    with Ledger(url, read_only=True) as reader:
        assert reader.known_objects() == {"A"}
        with pytest.raises(CampaignError, match="reading only"):
            answer(reader, 1)
        with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"), engine_of(reader).begin() as connection:
            connection.exec_driver_sql("INSERT INTO al_loop_schema VALUES (9)")
        answer(ledger, 1)
        assert len(reader.observations()) == 1


def test_a_read_only_look_at_an_empty_database_creates_nothing(url: str) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError):
            Ledger(url, read_only=True)


def test_a_path_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"^ledger .*file/ledger.db: cannot be opened .*$"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db")


@sqlite_only
def test_a_read_only_file_is_refused_when_opened(url: str, ledger: Ledger) -> None:
    ledger.close()
    path = sa.make_url(ledger.url).database
    with pytest.raises(ConfigError, match=r"^ledger .*cannot be written .*--run-dir"):
        Ledger(f"sqlite:///file:{path}?mode=ro&uri=true")


@sqlite_only
def test_a_read_only_directory_can_be_looked_at(url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    open_round(ledger, 0, "A")
    ledger.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Ledger(url, read_only=True) as reader:
        assert reader.known_objects() == {"A"}


@sqlite_only
def test_a_ledger_that_a_read_only_directory_cannot_open_is_one_clear_line(
    url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(sa.make_url(url).database or "")
    ledger.close()
    path.with_name("ledger.db-wal").write_bytes(b"rows")
    path.with_name("ledger.db-shm").symlink_to("/nowhere/shm")  # as one that cannot be created
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"last rows are in ledger.db-wal; copy both files to a folder of yours$"):
        Ledger(url, read_only=True)
    with pytest.raises(ConfigError, match=r"its folder cannot be written .*; choose a --run-dir with write permission"):
        Ledger(url)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("dear diary\n" * 100)
    with pytest.raises(ConfigError, match="not a ledger"):
        Ledger(f"sqlite:///{path}")
    assert path.read_text() == "dear diary\n" * 100


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/ledger.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE albums (id INTEGER)")
    with pytest.raises(ConfigError, match=r"not a ledger \(it has the tables albums\)"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db")


@sqlite_only
def test_a_ledger_that_stops_waiting_fails_at_the_next_fault(
    url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_tries = 0

    def fail(*_: object, **__: object) -> None:
        nonlocal n_tries
        n_tries += 1
        if n_tries == 3:
            ledger.stop_waiting()
        raise sa.exc.OperationalError("SELECT", {}, Exception("database is locked"))

    with Ledger(url, patience_s=600) as ledger:
        monkeypatch.setattr(ledger._database, "_transact", fail)
        for _ in range(2):
            with pytest.raises(CampaignError, match="all committed rows are safe"):
                ledger.pending()
        assert n_tries == 4


@sqlite_only
def test_a_locked_database_is_waited_for(url: str, ledger: Ledger) -> None:
    open_round(ledger, 0, "A")
    with Ledger(url) as other:
        holder = engine_of(other).connect().execution_options(ledger_write=True)
        holder.begin()
        timer = threading.Timer(0.5, holder.close)
        timer.start()
        answer(ledger, 1)
        timer.join()
    assert len(ledger.observations()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this machine mounts no file system")
    try:
        notes: list[str] = []
        with Ledger(f"sqlite:///{disk}/ledger.db", patience_s=60, on_wait=notes.append) as ledger:
            begin(ledger)
            batch = open_round(ledger, 0, *(f"C{i}" for i in range(40)))
            fill(disk)
            cleaner = threading.Timer(4.0, (disk / "ballast").unlink)
            cleaner.start()
            for candidate in batch:
                answer(ledger, candidate.id, Outcome((1.0,), info={"text": "x" * 2000}))
            cleaner.join()
            assert len(ledger.evaluations()) == 40
            assert len(notes) == 1
            assert "retrying for" in notes[0]
            fill(disk)
            ledger.stop_waiting()
            with pytest.raises(CampaignError, match="all committed rows are safe"):
                open_round(ledger, 1, *("y" * 5000 + str(i) for i in range(40)))
            assert (ledger.last_round(), len(ledger.observations())) == (0, 40)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.slow
def test_a_restart_of_the_server_in_the_middle_loses_nothing() -> None:
    notes: list[str] = []
    with (
        PostgresqlServer() as server,
        Ledger(server.new_database(), patience_s=120, on_wait=notes.append) as ledger,
    ):
        begin(ledger)
        batch = open_round(ledger, 0, *(f"C{i}" for i in range(150)))
        acknowledged: list[int] = []

        def one(candidate: Candidate) -> None:
            assert begin_attempt(ledger, candidate.id, "w") == 1
            answer(ledger, candidate.id, Outcome((float(candidate.id),)))
            acknowledged.append(candidate.id)

        with ThreadPoolExecutor(4) as pool:
            done = [pool.submit(one, c) for c in batch]
            for n, pause_s in ((20, 3.0), (80, 0.0)):
                while len(acknowledged) < n:
                    time.sleep(0.005)
                server.stop_at_once()
                time.sleep(pause_s)
                server.start()
                known = {e.candidate_id for e in ledger.evaluations()}
                assert known >= set(acknowledged[:n])
            for future in done:
                future.result()
        assert [e.values for e in ledger.evaluations()] == [(float(c.id),) for c in batch]
        assert [a.number for a in ledger.attempts()] == [1] * 150
        assert any("is unavailable (" in note for note in notes)


@postgresql_only
def test_a_cut_connection_is_made_again(ledger: Ledger) -> None:
    a, b = open_round(ledger, 0, "A", "B")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    with pytest.raises(sa.exc.OperationalError), engine_of(ledger).connect() as connection:
        connection.exec_driver_sql(cut)
    answer(ledger, a.id)

    n_cuts = 0

    @sa.event.listens_for(engine_of(ledger), "before_cursor_execute")
    def cut_before_the_insert(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        nonlocal n_cuts
        if statement.startswith("INSERT INTO evaluations") and n_cuts < 2:
            n_cuts += 1
            connection.connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    answer(ledger, b.id)
    assert n_cuts >= 1
    assert len(ledger.observations()) == 2


@postgresql_only
def test_a_ledger_may_share_a_database_through_its_own_schema(url: str, ledger: Ledger) -> None:
    with engine_of(ledger).begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
    with Ledger(f"{url}&options=-csearch_path%3Dother") as other:
        assert begin(other, name="second", fingerprint="f2")
        open_round(other, 0, "A")
    assert ledger.candidates() == []


@postgresql_only
def test_a_user_who_may_only_read_is_told_so_when_it_is_opened(url: str, ledger: Ledger) -> None:
    open_round(ledger, 0, "A")
    reader = f"reader_{uuid.uuid4().hex[:8]}"
    with engine_of(ledger).begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {reader} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}")
    theirs = sa.make_url(url).set(username=reader).render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match="cannot be written by this user"):
        Ledger(theirs)
    with Ledger(theirs, read_only=True) as look:
        assert look.known_objects() == {"A"}


@postgresql_only
def test_tables_of_something_else_are_refused(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sessions (id INTEGER)")
    engine.dispose()
    with pytest.raises(ConfigError, match=r"not a ledger \(it has the tables sessions\)"):
        Ledger(url)


def test_an_unreachable_server_is_one_clear_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="check the URL and the server") as caught:
        Ledger(f"postgresql://user:secret@/db?host={tmp_path}")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
