"""Checksums of the ledger's rows, chained in the order in which they were written.

Each row has a number in the ledger (``entry``) and a SHA-256 of it, its table and its values (``seal``). Each insert
appends a *link* to a chain: a SHA-256 of the previous link and of the seals of the inserted rows. A row that was
changed differs from its seal, and a row that was removed, added or moved breaks the chain, see ``verification``.

The checksums detect accidents and edits by hand. They are no signature: whoever recomputes all of them can write what
they like, except that the run directory remembers the last link that its campaign saw (``storage.ledger_head``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError
from al_loop.ledger import schema

_EXPECTED, _WRITTEN = "al_loop_expected_head", "al_loop_written_head"  # in the info of a connection
_encoder: Final = json.JSONEncoder(separators=(",", ":"))
# the encoder that ``_encoder.encode`` makes anew for each row, which takes as long as the encoding
_make_encoder: Final = getattr(json.encoder, "c_make_encoder", None)
_chunks: Final = _make_encoder and _make_encoder(
    None, _encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)


@dataclass(frozen=True)
class Head:
    """The last link of a ledger's chain.

    Args:
        number: its number, from 1; 0 where there is none.
        last: the number of the last row.
        seal: its checksum.
    """

    number: int = 0
    last: int = 0
    seal: str = ""


def head(connection: Connection) -> Head:
    """Return the last link of the chain."""
    query = sa.select(schema.links.c.number, schema.links.c.last, schema.links.c.seal)
    row = connection.execute(query.order_by(schema.links.c.number.desc()).limit(1)).one_or_none()
    return Head() if row is None else Head(*row)


def names_of(table: sa.Table) -> list[str]:
    """Return the columns of a table that its seals cover."""
    return [column.name for column in schema.content(table)]


def seal(table: str, entry: int, values: Iterable[Any]) -> str:
    """Return the checksum of a row.

    Args:
        table: the name of its table.
        entry: its number in the ledger.
        values: its values as the database stores them, in the order of the columns. Nulls at the end do not count, so
            that a later schema may add columns.
    """
    content = [table, entry, *values]
    while content[-1] is None:
        content.pop()
    text = _encoder.encode(content) if _chunks is None else "".join(_chunks(content, 0))
    return hashlib.sha256(text.encode()).hexdigest()


def link(previous: str, table: str, last: int, row_seals: Iterable[str]) -> str:
    """Return the checksum of a link.

    Args:
        previous: the checksum of the previous link; empty for the first.
        table: the name of the table.
        last: the number of the last row.
        row_seals: the seals of the rows, in order.
    """
    digest = hashlib.sha256(f"{previous}{table}{last}".encode())
    digest.update("".join(row_seals).encode())
    return digest.hexdigest()


def expect(connection: Connection, name: str, seen: Head) -> None:
    """Refuse inserts of a transaction that begins if the chain is shorter than it was.

    Args:
        connection: the connection of the transaction.
        name: the ledger's name, for the message.
        seen: the last link that was seen before.
    """
    connection.info[_EXPECTED] = (name, seen)
    connection.info.pop(_WRITTEN, None)


def written(connection: Connection) -> Head | None:
    """Return the last link that the transaction of a connection wrote, or ``None`` if it wrote none."""
    after: Head | None = connection.info.pop(_WRITTEN, None)
    return after


def insert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows with their checksums.

    Args:
        connection: a connection in a write transaction.
        table: the table.
        rows: the rows, as Python values by column.
    """
    if not rows:
        return
    before = head(connection)
    expected: tuple[str, Head] | None = connection.info.get(_EXPECTED)
    if expected is not None and before.number < expected[1].number:
        raise CampaignError(
            f"ledger {expected[0]}: has fewer rows than this process has seen ({before.last} instead of "
            f"{expected[1].last}), so it was replaced or damaged; nothing more is written to it. Restore it, or see "
            "al-loop verify, and run the same command again"
        )
    dialect = connection.dialect
    convert = {name: _conversion(table.c[name], dialect) for name in names_of(table)}
    sealed, row_seals = [], []
    for entry, row in enumerate(rows, before.last + 1):
        stored = {name: to_stored(row.get(name)) for name, to_stored in convert.items()}
        row_seals.append(seal(table.name, entry, stored.values()))
        sealed.append({**row, "entry": entry, "seal": row_seals[-1]})
    connection.execute(table.insert(), sealed)
    after = _append(connection, before, table.name, row_seals)
    connection.info[_WRITTEN] = after
    if expected is not None:
        connection.info[_EXPECTED] = (expected[0], after)


def _append(connection: Connection, before: Head, table: str, row_seals: Sequence[str]) -> Head:
    last = before.last + len(row_seals)
    after = Head(before.number + 1, last, link(before.seal, table, last, row_seals))
    connection.execute(schema.links.insert().values(number=after.number, table_name=table, last=last, seal=after.seal))
    return after


def seal_all(connection: Connection) -> None:
    """Add checksums to the rows of a ledger that has none, table by table, for a migration."""
    before = head(connection)
    for table in schema.SEALED:
        raw = sa.table(table.name, *(sa.column(column.name) for column in table.columns))
        names, key = names_of(table), [column.name for column in table.primary_key]
        order = "number" if table is schema.evaluations else None  # in the order of their commits
        query = sa.select(*(raw.c[name] for name in names)).order_by(
            *(raw.c[name] for name in ([order] if order else key))
        )
        rows = [tuple(row) for row in connection.execute(query)]
        if not rows:
            continue
        row_seals = [seal(table.name, before.last + 1 + i, map(plain, row)) for i, row in enumerate(rows)]
        change = raw.update().values(entry=sa.bindparam("b_entry"), seal=sa.bindparam("b_seal"))
        change = change.where(*(raw.c[name] == sa.bindparam(f"b_key_{name}") for name in key))
        positions = [(name, names.index(name)) for name in key]
        connection.execute(
            change,
            [
                {"b_entry": before.last + 1 + i, "b_seal": row_seals[i]}
                | {f"b_key_{name}": row[position] for name, position in positions}
                for i, row in enumerate(rows)
            ],
        )
        before = _append(connection, before, table.name, row_seals)


def plain(value: Any) -> Any:
    """Return a stored value as the seals take it: both databases return the same for it."""
    return value + 0.0 if type(value) is float else value  # SQLite does not store the sign of zero


def _conversion(column: sa.Column[Any], dialect: sa.Dialect) -> Any:
    """Return a function that converts a value of a row to what the database stores."""
    kind, default = column.type, column.server_default
    missing = int(default.arg) if isinstance(default, sa.DefaultClause) else None  # type: ignore[arg-type]
    if isinstance(kind, sa.types.TypeDecorator):
        return lambda value: kind.process_bind_param(value, dialect)
    if isinstance(kind, sa.Double):
        return lambda value: None if value is None else float(value) + 0.0
    if isinstance(kind, sa.Integer):
        return lambda value: missing if value is None else int(value)
    return lambda value: None if value is None else str(value)
