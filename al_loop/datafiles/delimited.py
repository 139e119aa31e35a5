"""Delimited text: a header and one row per line, with cells separated by commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from al_loop.errors import ConfigError

#: names of a column of objects, in order of precedence
OBJECT_COLUMNS = ("smiles", "sequence", "object")


@dataclass(frozen=True)
class DelimitedText:
    """The cells of delimited text, without surrounding blanks.

    Args:
        header: the name of each column; empty for text without a header.
        rows: the cells of each row, as many as in the header.
        lines: the line number of each row in the file (of its last line, if a cell contains line breaks).
        delimiter: comma, semicolon or tab.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    delimiter: str


def parse_delimited(text: str, file: str, *, lenient: bool = False) -> DelimitedText:
    """Parse delimited text; blank lines and lines of empty cells are skipped.

    The delimiter is whichever of comma, semicolon and tab occurs most often in the header.

    Args:
        text: the content of the file.
        file: name of the file in messages.
        lenient: whether to accept irregular tables: short rows are padded with empty cells, excess cells are dropped,
            and columns may be unnamed.

    Raises:
        ConfigError: a row does not match the header, quotes are unbalanced, or column names are missing or duplicate.
    """
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=not lenient)
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            row = tuple(map(str.strip, cells))
            if not any(row):
                continue
            if not header:
                header = row
                continue
            if lenient:
                row = (row + ("",) * len(header))[: len(header)]
            elif len(row) != len(header):
                n_cells = f"{len(row)} cell{'s' if len(row) > 1 else ''}"
                raise ConfigError(f"{file}, line {reader.line_num}: {n_cells}, but the header has {len(header)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: {error}") from None
    if not lenient and (len(set(header)) < len(header) or "" in header):
        raise ConfigError(f"{file}: the header {','.join(header)!r:.120} must give each column a unique name")
    return DelimitedText(header, tuple(rows), tuple(lines), delimiter)


def find_object_column(columns: Iterable[str]) -> str | None:
    """Return the column named smiles, sequence or object (in this order, ignoring case), or None."""
    by_name = {column.casefold(): column for column in columns}
    return next((by_name[name] for name in OBJECT_COLUMNS if name in by_name), None)


def parse_number(text: str) -> float | None:
    """Return the finite number that a cell contains, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    # Python, unlike people, reads 1_000 as a thousand
    return number if math.isfinite(number) and "_" not in text else None
