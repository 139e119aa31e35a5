"""Tables of results, written as CSV files without pandas."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], number_format: str = "") -> None:
    """Write rows with the same columns, in a folder that is made if it is not there.

    Args:
        path: the file; an earlier one is replaced.
        rows: at least one.
        number_format: of everything that is no text, such as ``.4g``; empty: numbers stay whole.
    """
    if number_format:
        rows = [{k: v if isinstance(v, str) else format(v, number_format) for k, v in row.items()} for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a table, which begins with its header.

    Args:
        path: the file; it is made, with its folder, if it is not there.
        row: what it is called in the header -> the value.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)
