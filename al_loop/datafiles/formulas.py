"""Cells of text tables that a spreadsheet would take for formulas."""

from __future__ import annotations

import re

#: what a cell begins with that is a formula for a spreadsheet, also in other scripts
_FORMULA = re.compile("[=+@\t\r\uff1d\uff0b\uff0d\uff20-]")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def guarded(cell: str) -> str:
    """Return a cell with an apostrophe before what would be a formula; numbers stay."""
    is_formula = _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell) is None
    return f"'{cell}" if is_formula else cell


def unguarded(cell: str) -> str:
    """Return the cell that ``guarded`` was given."""
    return cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell
