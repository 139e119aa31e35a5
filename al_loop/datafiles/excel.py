"""Tables in Excel files. openpyxl is imported on first use."""

from __future__ import annotations

import io
import warnings
import zipfile
from datetime import date, datetime, time
from typing import Any

from al_loop.datafiles.delimited import OBJECT_COLUMNS, TableCells, regular_table
from al_loop.errors import ConfigError, summary


def parse_excel(content: bytes, file: str) -> TableCells:
    """Parse the only worksheet with cells, or the only one whose first row names a column of objects or ids.

    Args:
        content: the content of the file.
        file: name of the file in messages.

    Raises:
        ConfigError: it is not an Excel file, several sheets contain tables, a formula has no stored value, or the sheet
            is not a valid table.
    """
    sheets = _sheets(content, file, has_formulas=False)
    name = _only_table(sheets, file)
    rows, lines = [], []
    empty = [(i, j) for i, row in enumerate(sheets[name]) for j, value in enumerate(row) if value is None and any(row)]
    formulas = _sheets(content, file, has_formulas=True)[name] if empty else []
    for i, j in empty:
        cell = formulas[i][j]
        if isinstance(cell, str) and cell.startswith("="):
            raise ConfigError(
                f"{file}, row {i + 1}: the formula {cell!r:.80} has no stored value; open the file in a spreadsheet "
                "and save it"
            )
    for number, row in enumerate(sheets[name], 1):
        cells = tuple(map(_text, row))
        if any(cells):
            rows.append(cells)
            lines.append(number)
    return regular_table(rows, lines, file, unit="row")


def _sheets(content: bytes, file: str, *, has_formulas: bool) -> dict[str, list[tuple[Any, ...]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise ConfigError(f"{file}: Excel files require openpyxl; pip install openpyxl") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and extensions that openpyxl does not keep
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=not has_formulas)
            return {sheet.title: _filled_up(list(sheet.iter_rows(values_only=True))) for sheet in book.worksheets}
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, TypeError, AttributeError) as error:
        raise ConfigError(f"cannot read {file}: it is not an Excel file (.xlsx): {summary(error)}") from None


def _filled_up(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows of one length; files may leave out the blank cells at the end of a row."""
    width = max(map(len, rows), default=0)
    return [(*row, *[None] * (width - len(row))) for row in rows]


def _only_table(sheets: dict[str, list[tuple[Any, ...]]], file: str) -> str:
    filled = [name for name, rows in sheets.items() if any(any(map(_text, row)) for row in rows)]
    if len(filled) > 1:
        with_objects = []
        for name in filled:
            header = next(row for row in sheets[name] if any(map(_text, row)))
            if {_text(cell).casefold() for cell in header} & {*OBJECT_COLUMNS, "id"}:
                with_objects.append(name)
        filled = with_objects if len(with_objects) == 1 else filled
    if len(filled) != 1:
        shown = ", ".join(map(repr, filled))
        raise ConfigError(
            f"{file}: the sheets {shown} contain cells, and it is not certain which one is meant; save that one as a "
            "file of its own"
            if filled
            else f"{file}: the table has no rows"
        )
    return filled[0]


def _text(value: object) -> str:
    """Return a cell as text; numbers as the shortest text that stands for them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value).strip()
