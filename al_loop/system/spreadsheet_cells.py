"""Texts from elsewhere (objects, names, reasons of oracles) as cells that no spreadsheet takes for formulas."""

from __future__ import annotations

import re

#: beginnings by which a spreadsheet takes a text for a formula
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def inert_cell(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula: with a quotation mark before it, if it has to be.

    Numbers stay as they are.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def without_guard(text: str) -> str:
    """Return a cell without the quotation mark of ``inert_cell``."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text[1:2]) else text
