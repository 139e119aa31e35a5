"""The meaning of single cells: numbers in the notations of several countries, missing values, failures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from al_loop.system.plain_values import Bound

#: cells that mean a missing value, in lower case
NO_VALUE = frozenset({"", "na", "n/a", "#n/a", "nan", "none", "null"})
#: cells of a column of failures that mean that nothing failed, as programs and spreadsheets of several countries write
_NO_FAILURE = NO_VALUE | {"false", "f", "no", "n", "0", "0.0", "-", "–", "—", "ok", "falsch", "nein", "faux", "non"}
#: cells of a column of failures that say that something failed, but not what
_FAILURE = frozenset({"true", "t", "yes", "y", "1", "1.0", "x", "wahr", "ja", "vrai", "oui"})

_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?")
_COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
_POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
_OTHER_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(?:([ \u00a0\u2009\u202f'’])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_BOUND = re.compile(r"([<>≤≥]=?|~|≈)\s*(?=[+\-−.,\d])")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}[-. ]*[^\W\d]{3,9}\.?|[^\W\d]{3,9}\.?[- ]\d{2,4}")


@dataclass(frozen=True)
class NumberNotation:
    """The notation of numbers in a table.

    Args:
        allows_comma: whether a comma may be the decimal separator; not in a table whose cells are separated by commas.
        has_comma: whether some cell proves that numbers are written like 12,5.
        has_point: whether some cell proves that numbers are written like 12.5.
    """

    allows_comma: bool = False
    has_comma: bool = False
    has_point: bool = False

    @classmethod
    def of_table(cls, delimiter: str, rows: Iterable[Iterable[str]]) -> NumberNotation:
        """Return the notation of a table.

        Args:
            delimiter: what separates its cells; commas are decimal separators only beside semicolons and tabs.
            rows: its rows, or its columns.
        """
        if delimiter not in (";", "\t"):
            return cls()
        has_comma = has_point = False
        for cell in chain.from_iterable(rows):
            if "," in cell or "." in cell:
                point, comma = _readings(cell)
                has_comma |= point is None and comma is not None
                has_point |= point is not None and comma is None
            if has_comma and has_point:
                break
        return cls(True, has_comma, has_point)

    def number(self, text: str) -> float | None:
        """Return the finite number that a cell contains, or None if it contains none or an ambiguous one."""
        point, comma = _readings(text)
        if not self.allows_comma:
            is_ambiguous = point is not None and comma is not None and _COMMA.fullmatch(text) is not None
            return None if is_ambiguous else _finite(point)
        if point is None or comma is None or point == comma:
            return _finite(comma if point is None else point)
        if _COMMA.fullmatch(text):  # 1,234
            return None if self.has_point else _finite(comma)
        return None if self.has_comma else _finite(point)  # 1.234

    def bound(self, text: str) -> tuple[Bound, float] | None:
        """Return the side and the number of a bound such as ``<4``, ``>= 100`` or ``≤0.5``, or None."""
        match = _BOUND.match(text.strip())
        number = None if match is None else self.number(text.strip()[match.end() :])
        if match is None or number is None or match[1] in "~≈":
            return None
        return ("<" if match[1][0] in "<≤" else ">"), number

    def fault(self, text: str) -> tuple[str, str]:
        """Return why a cell is not a number, and the remedy if there is a special one, else ''."""
        if is_bound(text):
            return "is a bound, not a measurement", ""
        point, comma = _readings(text)
        if any(number is not None and math.isinf(number) for number in (point, comma)):
            return "is too large", ""
        if point is not None and comma is not None and point != comma:
            return (
                f"is not a number for certain: it may mean {point:.12g} or {comma:.12g}",
                "write it without thousand separators and with a decimal point",
            )
        if comma is not None and not self.allows_comma:
            return (
                "is not a number for certain",
                f"write {comma:.12g} with a decimal point; a table with decimal commas needs semicolons or tabs",
            )
        if text.startswith("#"):
            return "is a spreadsheet's error", "correct it, or leave it blank"
        if _DATE.fullmatch(text):
            return "is not a number but a date, into which spreadsheets turn numbers", "correct it"
        if "±" in text or "+/-" in text:
            return "is not a number", "write the value alone, and its standard deviation into a column <name>_std"
        if re.match(r"[+-]?[.,]?\d", text) and re.search(r"[^\W\d]|%", text) and _finite(point) is None:
            return "is not a number", "write the number alone, and its unit into the heading, as in 'ic50 (nM)'"
        return "is not a number", ""


def parse_number(text: str) -> float | None:
    """Return the finite number that a cell contains, written with a decimal point, or None."""
    return NumberNotation().number(text)


def is_bound(text: str) -> bool:
    """Return whether a cell contains a number with a sign such as < or > before it."""
    match = _BOUND.match(text)
    return match is not None and _readings(text[match.end() :]) != (None, None)


def is_number_like(text: str) -> bool:
    """Return whether a cell is meant as a number, in any notation, or as a bound."""
    return _readings(text) != (None, None) or is_bound(text)


def failure_text(text: str) -> str | None:
    """Return what a cell of a column of failures says: None if nothing failed, '' if it gives no reason, or its text.

    ``FALSE``, ``no``, ``0``, ``n``, ``f``, ``-`` and empty cells are no failures; ``TRUE``, ``yes``, ``1``, ``y`` and
    ``x`` are failures without a reason.
    """
    word = text.strip().casefold()
    if word in _NO_FAILURE:
        return None
    return "" if word in _FAILURE else text.strip()


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _readings(text: str) -> tuple[float | None, float | None]:
    """Return the number that a text means if decimals follow a point, and if they follow a comma."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if (match := _OTHER_GROUPS.fullmatch(text)) is not None:
        text = text.replace(match[1], "")
    point = comma = None
    if _POINT.fullmatch(text):
        point = float(text)
        if "." not in text:
            return point, point
    elif _COMMA_GROUPS.fullmatch(text):
        point = float(text.replace(",", ""))
    if _COMMA.fullmatch(text):
        comma = float(text.replace(",", "."))
    elif _POINT_GROUPS.fullmatch(text):
        comma = float(text.replace(".", "").replace(",", "."))
    return point, comma
