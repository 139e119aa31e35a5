"""Ledgers of older schemas open, on SQLite and PostgreSQL alike."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from al_loop import __version__
from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import SCHEMA_VERSION, Ledger
from al_loop.ledger.schema import OLDEST_SCHEMA
from al_loop.oracles.base import Outcome
from tests.support import ledger_schemas
from tests.support.ledgers import answer, begin, engine_of, open_round, postgresql_only, sqlite_only

ROOT = Path(__file__).parents[3]
NEXT = SCHEMA_VERSION + 1
PRESENT = list(
    range(OLDEST_SCHEMA, SCHEMA_VERSION + 1)
)  #: the versions in a ledger that was upgraded to the present one
PROGRAM = """
import sys
import tests.support.ledger_schemas
from al_loop.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    print(len(ledger.evaluations()))
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Return a folder with the script of a schema that does not exist yet."""
    ledger_schemas.write_next_schema(tmp_path)
    return tmp_path


@pytest.fixture
def next_schema(scripts: Path) -> Iterator[Path]:
    """Make that schema the present one."""
    ledger_schemas.use_next_schema(scripts)
    yield scripts
    ledger_schemas.forget_next_schema()


@pytest.fixture
def old(url: str) -> str:
    """Return the URL of a ledger of the newest schema that exists."""
    ledger_schemas.fill_with_old_ledger(url, SCHEMA_VERSION)
    return url


def versions(url: str) -> list[int]:
    engine = sa.create_engine(sa.make_url(url).set(drivername=driver(url)))
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT version FROM al_loop_schema ORDER BY version").scalars().all()
    engine.dispose()
    return list(rows)


def driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


def file_of(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def contents(ledger: Ledger) -> list[object]:
    return [
        ledger.campaign(),
        ledger.sessions(),
        ledger.rounds(),
        ledger.candidates(),
        ledger.attempts(),
        ledger.evaluations(has_all_revisions=True),
        ledger.decisions(),
    ]


def test_every_schema_that_was_released_is_tested() -> None:
    assert list(range(OLDEST_SCHEMA, SCHEMA_VERSION + 1)) == ledger_schemas.SCHEMAS
    dumps = {path.name for path in ledger_schemas.LEDGERS.glob("*.postgresql.sql")}
    assert dumps == {f"schema_{number}.postgresql.sql" for number in ledger_schemas.SCHEMAS}


@pytest.mark.parametrize("number", ledger_schemas.SCHEMAS)
def test_a_ledger_of_every_schema_becomes_as_a_new_one(
    url: str, number: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ledger_schemas.fill_with_old_ledger(url, number)
    with Ledger(url) as ledger:
        before = contents(ledger)
        assert all(before)
        assert len(ledger.evaluations()) == 11
        answer(ledger, 9, Outcome((1.0, 2.0)))
        upgraded = ledger_schemas.description_of(engine_of(ledger))
    is_sqlite = url.startswith("sqlite")
    new = f"sqlite:///{tmp_path}/new.db" if is_sqlite else request.getfixturevalue("server").new_database()
    with Ledger(new) as ledger:
        assert upgraded == ledger_schemas.description_of(engine_of(ledger))
    assert versions(url) == PRESENT


@pytest.mark.parametrize("number", ledger_schemas.SCHEMAS)
def test_a_ledger_of_every_schema_can_be_read(url: str, number: int) -> None:
    ledger_schemas.fill_with_old_ledger(url, number)
    with Ledger(url, read_only=True) as reader:
        assert len(reader.evaluations()) == 11
        assert all(contents(reader))
    assert versions(url) == list(range(OLDEST_SCHEMA, number + 1))


# -- a schema that does not exist yet


def test_an_upgrade_keeps_every_row_and_makes_all_tables_insert_only(old: str, next_schema: Path) -> None:
    with Ledger(old, read_only=True) as reader:
        before = contents(reader)
    with Ledger(old) as ledger:
        assert contents(ledger) == before
        assert versions(old) == [*PRESENT, NEXT]
        engine = engine_of(ledger)
        with engine.connect() as connection:
            query = "SELECT count(*) FROM evaluations WHERE operator = worker"
            assert connection.exec_driver_sql(query).scalar() == len(ledger.evaluations(has_all_revisions=True))
            assert connection.exec_driver_sql("SELECT count(*) FROM notes").scalar() == 0
        with engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO notes VALUES (1)")
        for table in ("evaluations", "candidates", "notes", "al_loop_schema"):
            with pytest.raises(sa.exc.DBAPIError, match="insert-only"), engine.begin() as connection:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        with pytest.raises(sa.exc.IntegrityError), engine.begin() as connection:  # references still hold
            connection.exec_driver_sql("INSERT INTO attempts VALUES (999, 1, '', '', NULL, NULL)")
        answer(ledger, 9, Outcome((1.0, 2.0)))
        ledger.close_round(2, metrics={}, seconds={})
        assert [c.round for c in open_round(ledger, 3, "C1CC1")] == [3]
    with Ledger(old) as ledger:
        assert ledger.last_round() == 3
    assert versions(old) == [*PRESENT, NEXT]


@sqlite_only
def test_the_file_is_kept_as_it_was_before_the_upgrade(old: str, scripts: Path) -> None:
    with Ledger(old) as ledger:
        before = contents(ledger)
    ledger_schemas.use_next_schema(scripts)
    with Ledger(old):
        pass
    ledger_schemas.forget_next_schema()
    backup = file_of(old).with_name(f"ledger.db.schema-{SCHEMA_VERSION}.bak")
    assert {path.name for path in backup.parent.glob("*bak*")} == {backup.name}
    with Ledger(f"sqlite:///{backup}") as ledger:
        assert contents(ledger) == before
    with pytest.raises(ConfigError, match=f"has schema {NEXT}, but .* up to {SCHEMA_VERSION}; upgrade al-loop$"):
        Ledger(old)


@sqlite_only
def test_without_room_for_the_copy_nothing_is_upgraded(old: str, next_schema: Path) -> None:
    (file_of(old).parent / f"ledger.db.schema-{SCHEMA_VERSION}.bak.part").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be copied to ledger.db.schema-\d+.bak before its upgrade \("):
        Ledger(old)
    assert versions(old) == PRESENT


def test_a_reader_upgrades_a_copy_of_its_own(old: str, next_schema: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_sqlite = old.startswith("sqlite")
    if is_sqlite:
        access = os.access  # as in a read-only folder
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
        before = hashlib.sha256(file_of(old).read_bytes()).hexdigest()
    with Ledger(old, read_only=True) as reader:
        assert len(reader.evaluations()) == 11
        assert all(contents(reader))
        folder = Path(reader._database.engine.url.database or "").parent
        with pytest.raises(CampaignError, match="reading only"):
            answer(reader, 9)
        with pytest.raises(sa.exc.DBAPIError, match="readonly"), engine_of(reader).begin() as connection:
            connection.exec_driver_sql("INSERT INTO notes VALUES (1)")
    assert not list(folder.glob("ledger.db"))
    assert versions(old) == PRESENT
    if is_sqlite:
        assert hashlib.sha256(file_of(old).read_bytes()).hexdigest() == before
        assert not list(file_of(old).parent.glob("*.bak*"))


def run(url: str, scripts: Path, **variables: str) -> subprocess.Popen[str]:
    """Start a process that opens a ledger with the next schema."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url],
        cwd=ROOT,
        env={**os.environ, "AL_LOOP_TEST_NEXT_SCHEMA": str(scripts), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_processes_that_open_an_old_ledger_at_once_all_succeed(old: str, scripts: Path) -> None:
    processes = [run(old, scripts) for _ in range(3)]
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert (process.returncode, out) == (0, "11\n"), err
    assert versions(old) == [*PRESENT, NEXT]


@pytest.mark.parametrize("fault", ["kill", "error"])
def test_an_upgrade_that_ends_half_way_leaves_the_ledger_as_it_was(old: str, scripts: Path, fault: str) -> None:
    with Ledger(old) as ledger:
        before, shape = contents(ledger), ledger_schemas.description_of(engine_of(ledger))
    process = run(old, scripts, AL_LOOP_TEST_FAULT=fault)
    _, err = process.communicate(timeout=600)
    assert process.returncode == (-signal.SIGKILL if fault == "kill" else 1), err
    if fault == "error":
        assert "ConfigError" in err
        assert "nowhere" in err
    with Ledger(old) as ledger:
        assert (contents(ledger), ledger_schemas.description_of(engine_of(ledger))) == (before, shape)
        answer(ledger, 9, Outcome((1.0, 2.0)))
    assert versions(old) == PRESENT
    process = run(old, scripts)
    assert process.communicate(timeout=600)[0] == "12\n"
    assert versions(old) == [*PRESENT, NEXT]


@postgresql_only
def test_a_user_who_does_not_own_the_tables_reads_an_old_ledger_but_cannot_upgrade_it(
    old: str, next_schema: Path
) -> None:
    user = f"writer_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(sa.make_url(old).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {user} LOGIN")
        connection.exec_driver_sql(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {user}")
    engine.dispose()
    theirs = sa.make_url(old).set(username=user).render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match=rf"has schema {SCHEMA_VERSION}, and this user may not upgrade it to {NEXT} "):
        Ledger(theirs)
    with Ledger(theirs, read_only=True) as reader:
        assert len(reader.evaluations()) == 11


# -- schemas that are refused


def test_a_newer_schema_is_refused_with_both_numbers(url: str, ledger: Ledger) -> None:
    with engine_of(ledger).begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO al_loop_schema VALUES ({SCHEMA_VERSION + 3})")
    for read_only in (False, True):
        with pytest.raises(ConfigError) as caught:
            Ledger(url, read_only=read_only)
        message = (
            f"has schema {SCHEMA_VERSION + 3}, but this al-loop {__version__} supports schemas up to {SCHEMA_VERSION}; "
            "upgrade"
        )
        assert message in str(caught.value)
        assert "was last started by al-loop 0.1.0 and has schema" in str(caught.value)
        assert "\n" not in str(caught.value)


@sqlite_only
def test_a_schema_that_was_never_released_is_refused_in_one_line(url: str) -> None:
    file_of(url).parent.mkdir(parents=True)
    with sqlite3.connect(file_of(url)) as connection:
        connection.executescript("CREATE TABLE al_loop_schema (version INTEGER); INSERT INTO al_loop_schema VALUES (3)")
    connection.close()
    with pytest.raises(
        ConfigError, match=r"^ledger .*: has schema 3 of an unreleased al-loop, which cannot be upgraded"
    ):
        Ledger(url)


# -- cost


@sqlite_only
def test_alembic_is_loaded_only_to_upgrade(url: str, ledger: Ledger) -> None:
    program = (
        "import sys; from al_loop.ledger import Ledger; Ledger(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program, url], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"
    assert not begin(ledger)
