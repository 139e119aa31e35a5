"""Texts from elsewhere (objects, names, reasons of oracles) in a form that no terminal and no spreadsheet obeys."""

from __future__ import annotations

import re

#: control characters but line break and tab, and signs that turn the direction of writing around
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
#: beginnings by which a spreadsheet takes a text for a formula
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def printable(text: str) -> str:
    """Return a text with control characters written out, such as backslash x1b for the one that begins a colour."""
    return _CONTROL.sub(lambda match: _written(match[0]), text)


def _written(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def inert_cell(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula: with a quotation mark before it, if it has to be.

    Numbers stay as they are.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def without_guard(text: str) -> str:
    """Return a cell without the quotation mark of ``inert_cell``."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text[1:2]) else text
