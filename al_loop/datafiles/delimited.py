"""Tables as text: a header and one row per line, with cells separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from al_loop.datafiles.cells import is_number_like
from al_loop.errors import ConfigError, counted
from al_loop.system.spreadsheet_cells import without_guard

#: names of a column of objects, in order of precedence
OBJECT_COLUMNS = ("smiles", "sequence", "object")
#: in order of precedence, if several are possible
_DELIMITERS = ("\t", ";", ",")
_N_SAMPLE_ROWS = 50  # that decide on the delimiter
#: columns of remarks, whose empty cells at the end of a row spreadsheets may leave out
_REMARKS = frozenset({"failure", "reason", "comment", "comments", "note", "notes", "remark", "remarks"})


@dataclass(frozen=True)
class TableCells:
    """The cells of a table as text, without surrounding blanks.

    Args:
        header: the name of each column; empty for text without a header.
        rows: the cells of each row, as many as in the header.
        lines: the line number of each row in the file (of its last line, if a cell contains line breaks).
        delimiter: comma, semicolon or tab; empty if the file stores cells in another way.
        unit: what ``lines`` counts, for messages.
        header_line: the line number of the header.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    delimiter: str = ""
    unit: str = "line"
    header_line: int = 1


def parse_delimited(text: str, file: str) -> TableCells:
    """Parse delimited text; blank lines, lines of empty cells and columns of empty cells are skipped.

    The delimiter is the one of comma, semicolon and tab that divides the rows as it divides the header; a first line
    such as ``sep=;`` names it. A first column without a heading that numbers the rows, as pandas and R write it, is
    left out.

    Args:
        text: the content of the file.
        file: name of the file in messages.

    Raises:
        ConfigError: a row does not match the header, quotes are unbalanced, or column names are missing or duplicate.
    """
    lines_before = 0
    if match := re.match(r"\s*sep=([,;\t])[ \t]*(?:\r\n|\r|\n)", text, re.IGNORECASE):
        delimiter, lines_before = match[1], 1
        text = text[match.end() :]
    else:
        delimiter = _delimiter_of(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            row = tuple(without_guard(cell.strip()) for cell in cells)
            if any(row):
                rows.append(row)
                lines.append(reader.line_num + lines_before)
    except csv.Error as error:
        line = reader.line_num + lines_before
        hint = "; a quote is not closed, or stands inside a cell" if "expected" in str(error) else ""
        raise ConfigError(f"{file}, line {line}: {error}{hint}") from None
    return regular_table(rows, lines, file, delimiter)


def regular_table(
    rows: Sequence[tuple[str, ...]], lines: Sequence[int], file: str, delimiter: str = "", unit: str = "line"
) -> TableCells:
    """Return a table whose rows have as many cells as its header, under unique names.

    Args:
        rows: the header and the rows, without empty ones.
        lines: their positions in the file.
        file: name of the file in messages.
        delimiter: what separates the cells, if it is text.
        unit: what ``lines`` counts.

    Raises:
        ConfigError: a row does not match the header, or column names are missing, duplicate, or numbers.
    """
    if not rows:
        return TableCells((), (), (), delimiter, unit)
    header, body = rows[0], rows[1:]
    width = len(header)
    while width > 1 and not header[width - 1] and not any(len(row) >= width and row[width - 1] for row in body):
        width -= 1  # spreadsheets add empty columns
    header = header[:width]
    fitted = [_fit(row, header, f"{file}, {unit} {n}", delimiter) for row, n in zip(body, lines[1:], strict=True)]
    kept = [i for i in range(width) if header[i] or any(row[i] for row in fitted)]
    if kept and not header[kept[0]] and _are_row_numbers([row[kept[0]] for row in fitted]):
        kept = kept[1:]
    if len(kept) < width:
        header = tuple(header[i] for i in kept)
        fitted = [tuple(row[i] for i in kept) for row in fitted]
    _check_header(header, [name for name, n in Counter(header).items() if n > 1], file, f"{unit} {lines[0]}")
    return TableCells(header, tuple(fitted), tuple(lines[1:]), delimiter, unit, lines[0])


def find_object_column(columns: Iterable[str]) -> str | None:
    """Return the column named smiles, sequence or object (in this order, ignoring case), or None."""
    by_name = {column.casefold(): column for column in columns}
    return next((by_name[name] for name in OBJECT_COLUMNS if name in by_name), None)


def _delimiter_of(text: str) -> str:
    """Return the delimiter that divides most rows into as many cells as the header, and the header into most cells."""
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            widths = [len(row) for row in islice((row for row in reader if any(row)), _N_SAMPLE_ROWS)]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        share = sum(width == widths[0] for width in widths[1:]) / max(len(widths) - 1, 1)
        if (score := (share, widths[0])) > best_score:
            best, best_score = delimiter, score
    return best


def _fit(row: tuple[str, ...], header: tuple[str, ...], where: str, delimiter: str) -> tuple[str, ...]:
    """Return a row with as many cells as the header, which differs from it only by empty cells at its end."""
    width = len(header)
    if len(row) > width and not any(row[width:]):
        row = row[:width]
    if len(row) < width and all(name.casefold() in _REMARKS for name in header[len(row) :]):
        row = row + ("",) * (width - len(row))
    if len(row) == width:
        return row
    remedy = ""
    if delimiter == "," and len(row) > width and any(cell.isdigit() for cell in row[1:]):
        remedy = "; write decimals with a point, or separate the cells with semicolons"
    raise ConfigError(f"{where}: {counted(len(row), 'cell')}, but the header has {width}{remedy}; correct the row")


def _are_row_numbers(cells: Sequence[str]) -> bool:
    return any(all(cell == str(i) for i, cell in enumerate(cells, first)) for first in (0, 1))


def _check_header(header: Sequence[str], duplicates: Sequence[str], file: str, where: str) -> None:
    shown = f"{','.join(header)!r:.120}"
    if duplicates and duplicates[0]:
        raise ConfigError(
            f"{file}: the header {shown} must give each column a unique name, but {duplicates[0]!r} occurs twice; "
            "rename or remove one of these columns"
        )
    if "" in header:
        raise ConfigError(
            f"{file}: the header {shown} must give each column a unique name, but column {header.index('') + 1} has "
            "none; name it or remove it"
        )
    numbers = [name for name in header if is_number_like(name)]
    if numbers and len(header) > 1 and find_object_column(header) is None and "id" not in map(str.casefold, header):
        raise ConfigError(
            f"{file}, {where}: {numbers[0]!r} is not a column's name, so the table seems to have no header; add one, "
            "such as smiles,value"
        )
