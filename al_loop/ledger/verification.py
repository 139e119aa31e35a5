"""Comparison of the ledger's rows with their checksums."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError, counted
from al_loop.ledger import queries, schema, seals
from al_loop.ledger.checked_file import CheckedFile
from al_loop.ledger.seals import Head

#: the kind of the changes by which a person accepts findings
ACCEPTED: Final = "integrity"
_N_SHOWN: Final = 3
_CHUNK: Final = 20_000
MANY: Final = 60_000  # rows, which take a third of a second


@dataclass(frozen=True)
class Finding:
    """Something in a ledger that is not as it was written.

    Args:
        place: the row, such as ``evaluations (candidate_id 5, revision 0)``.
        problem: what is wrong with it.
        digest: identifies what is there now; a person accepts it and not what may come later.
    """

    place: str
    problem: str
    digest: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


class DamagedLedger(CampaignError):  # noqa: N818  it names what is damaged
    """Rows of a ledger are not as they were written."""


@dataclass(frozen=True)
class _Link:
    number: int
    table: str
    last: int
    seal: str


def require_sound(connection: Connection, name: str, after: Head, *, is_reader: bool = False) -> Head:
    """Compare the rows after a link with their checksums, and return the last link.

    Args:
        connection: a connection to the ledger.
        name: the ledger's name, for the message.
        after: the last link that was compared before; that of a new reader covers all rows.
        is_reader: whether of very many rows, only the objects and the answers are compared, and not the chain.

    Raises:
        DamagedLedger: a row is not as it was written, and nobody has accepted that.
    """
    now = seals.head(connection)
    if now == after:
        return now
    is_quick = is_reader and not after.number and now.last > MANY
    with queries.without_collections():
        findings = quick_findings(connection) if is_quick else list(findings_after(connection, after))
    if findings:
        findings = without_accepted(connection, findings)
    if findings:
        raise DamagedLedger(_message(name, findings))
    return now


def require_sound_since_note(connection: Connection, name: str, checked: CheckedFile) -> Head:
    """Compare the rows that a reader finds with their checksums, except those noted as compared; see ``require_sound``.

    Args:
        connection: a connection to the ledger.
        name: the ledger's name, for the message.
        checked: the note beside the ledger, which is brought up to date.

    Raises:
        DamagedLedger: a row is not as it was written, and nobody has accepted that.
    """
    state = checked.state()
    is_unchanged, before = checked.read(state)
    now = seals.head(connection)
    if is_unchanged:
        return now
    has_grown = 0 < before.number < now.number and queries.exists(
        connection, schema.links, number=before.number, seal=before.seal
    )
    now = require_sound(connection, name, before if has_grown else Head(), is_reader=True)
    if now.last > MANY:
        checked.write(state, now)
    return now


def _message(name: str, findings: Sequence[Finding]) -> str:
    shown = "; ".join(map(str, findings[:_N_SHOWN]))
    more = f" and {counted(len(findings) - _N_SHOWN, 'further finding')}" if len(findings) > _N_SHOWN else ""
    return (
        f"ledger {name}: not as it was written: {shown}{more}. List all with al-loop verify; restore a copy made by "
        "al-loop backup, or, if the rows are right as they are, accept them with al-loop verify --accept REASON"
    )


def without_accepted(connection: Connection, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that no person has accepted."""
    raw = sa.table("changes", sa.column("kind"), sa.column("key"), sa.column("new"))  # what is in them may be damaged
    query = sa.select(raw.c.key, raw.c.new).where(raw.c.kind == ACCEPTED)
    accepted = {(key, digest) for key, digest in connection.execute(query)}
    return [f for f in findings if (f.place, json.dumps(f.digest)) not in accepted]


def findings_after(connection: Connection, after: Head) -> Iterator[Finding]:
    """Yield what is wrong with the rows after a link, and with the chain.

    Args:
        connection: a connection to the ledger.
        after: a link that was compared before; ``Head()`` for the whole ledger, including rows outside the chain.
    """
    links = _links(connection, after.number)
    yield from _chain_gaps(links, after)
    ranges: dict[str, list[tuple[int, int]]] = {}
    first = after.last + 1
    for link in links:
        ranges.setdefault(link.table, []).append((first, link.last))
        first = link.last + 1
    row_seals: dict[int, str] = {}
    for table in schema.SEALED:
        covered = ranges.pop(table.name, [])
        if not covered and after.number:
            continue
        yield from _row_findings(connection, table, covered, row_seals, after)
    for name in ranges:
        yield Finding("links", f"a link names a table {name!r:.80} that does not exist", name[:80])
    previous, first = after.seal, after.last + 1
    for link in links:
        numbers = range(first, link.last + 1)
        expected = seals.link(previous, link.table, link.last, [row_seals[n] for n in numbers if n in row_seals])
        # a row that is missing has its own finding
        if expected != link.seal and all(n in row_seals for n in numbers):
            yield Finding(f"links (number {link.number})", "the chain is broken here", link.seal)
        previous, first = link.seal, link.last + 1


def _links(connection: Connection, after: int) -> list[_Link]:
    table = schema.links.c
    query = sa.select(table.number, table.table_name, table.last, table.seal).where(table.number > after)
    with queries.without_collections():
        return [_Link(*row) for row in connection.execute(query.order_by(table.number)).all()]


def _chain_gaps(links: Sequence[_Link], after: Head) -> Iterator[Finding]:
    number, last = after.number, after.last
    if after.number and not links:
        yield Finding("links", f"the last ones are missing, after number {number}", after.seal)
    for link in links:
        if link.number != number + 1:
            yield Finding(f"links (number {number + 1})", "is missing", link.seal)
        if link.last <= last:
            yield Finding(f"links (number {link.number})", "covers no row", link.seal)
        number, last = link.number, link.last


def _row_findings(
    connection: Connection,
    table: sa.Table,
    covered: Sequence[tuple[int, int]],
    row_seals: dict[int, str],
    after: Head,
) -> Iterator[Finding]:
    """Yield what is wrong with the rows of a table; collect the seals that are stored with them."""
    expected = {n for first, last in covered for n in range(first, last + 1)}
    key = [column.name for column in table.primary_key]
    for row in _rows(connection, table, covered[0][0] if after.number else None):
        entry, stored = row[0], row[1]
        if entry is None or stored is None:
            problem = "has no checksum: it was not written by al-loop"
            yield Finding(_place(table, key, row[2:]), problem, _digest(list(row[2:])))
            continue
        row_seals[entry] = stored
        if not _is_sound(table.name, row):
            expected.discard(entry)
            yield Finding(_place(table, key, row[2:]), "was changed after it was written", _digest(row))
        elif entry not in expected:
            del row_seals[entry]
            problem = "is not in the chain: it was not written by al-loop"
            yield Finding(_place(table, key, row[2:]), problem, stored)
        else:
            expected.discard(entry)
    for number in sorted(expected):
        yield Finding(f"{table.name} (row {number} of the ledger)", "was removed", f"row {number}")


def quick_findings(connection: Connection) -> list[Finding]:
    """Return which of the objects and answers differ from their checksums, without a look at the chain."""
    result = []
    for table in (schema.candidates, schema.evaluations):
        key = [column.name for column in table.primary_key]
        changed = [row for row in _rows(connection, table, None) if not _is_sound(table.name, row)]
        result += [Finding(_place(table, key, r[2:]), "was changed after it was written", _digest(r)) for r in changed]
    return result


def _is_sound(table: str, row: tuple[Any, ...]) -> bool:
    """Return whether a row, after its number and its seal, agrees with the seal."""
    number, sealed, values = row[0], row[1], row[2:]
    try:
        return number is not None and (
            seals.seal(table, number, values) == sealed or seals.seal(table, number, map(seals.plain, values)) == sealed
        )
    except TypeError:  # something that al-loop does not store, such as bytes
        return False


def _rows(connection: Connection, table: sa.Table, since: int | None) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table as they are stored, with their number and seal first.

    Args:
        connection: a connection to the ledger.
        table: the table.
        since: the number of the first row; None for all, also those without a number.
    """
    names = ", ".join(f'"{name}"' for name in ("entry", "seal", *seals.names_of(table)))
    where = "" if since is None else f" WHERE entry >= {since}"
    query = f"SELECT {names} FROM {table.name}{where} ORDER BY entry"
    cursor = connection.connection.cursor()  # SQLAlchemy's own rows would take twice as long
    n = 0
    try:
        cursor.execute(query)
        while part := cursor.fetchmany(_CHUNK):
            n += len(part)
            yield from part
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
        yield from _undecoded_rows(connection, query, n)
    finally:
        cursor.close()


def _undecoded_rows(connection: Connection, query: str, n: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a query after the first n, of which some have text that is not Unicode."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    usual = driver.text_factory
    driver.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    try:
        rows = driver.execute(query).fetchall()
    finally:
        driver.text_factory = usual
    yield from rows[n:]


def _place(table: sa.Table, key: Sequence[str], values: Sequence[Any]) -> str:
    names = seals.names_of(table)
    return f"{table.name} ({', '.join(f'{name} {values[names.index(name)]}' for name in key)})"


def _digest(values: Sequence[Any]) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "replace")).hexdigest()
