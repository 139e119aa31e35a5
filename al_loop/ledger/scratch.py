"""A copy of a ledger in a SQLite file, to try something out that must not be recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from al_loop.ledger import schema
from al_loop.ledger.engines import make_engine, sqlite_url
from al_loop.ledger.ledger import Ledger

_CHUNK: Final = 5000  # rows
#: the copy has its own version, and nobody drives it
_NOT_COPIED: Final = (schema.versions.name, schema.leases.name)


def copy_ledger(source: str | sa.URL, target: Path) -> None:
    """Copy a ledger with the current schema into a new SQLite file.

    Args:
        source: the URL of the ledger.
        target: the file, which must not exist.

    Raises:
        ConfigError: one of the databases cannot be opened.
    """
    url = sqlite_url(target.absolute())
    Ledger(url).close()  # creates the tables
    origin, copy = make_engine(source, read_only=True), make_engine(url)
    raw = sa.MetaData()  # its columns have plain types, so that no JSON is decoded
    try:
        with origin.connect() as reader, copy.connect().execution_options(ledger_write=True) as writer:
            raw.reflect(writer, only=[t.name for t in schema.metadata.sorted_tables if t.name not in _NOT_COPIED])
            for table in schema.metadata.sorted_tables:
                if table.name in _NOT_COPIED:
                    continue
                columns = raw.tables[table.name].columns
                rows = reader.execution_options(yield_per=_CHUNK).execute(sa.select(*columns)).mappings()
                for part in rows.partitions(_CHUNK):
                    writer.execute(raw.tables[table.name].insert(), [dict(row) for row in part])
            writer.commit()
    finally:
        origin.dispose()
        copy.dispose()
