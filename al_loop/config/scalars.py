"""Plain YAML scalars that YAML 1.1 reads as something else than they look like, such as ``NO``, ``010`` and ``1:30``.

They stay text when a config is read, as ``Plain``. What such a text means is decided where the type of its key is
known: ``on`` is fine for a yes-or-no key and ``1e-3`` for a number, and anything that could be taken for another value
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

_BOOLEAN = re.compile(r"(?i)yes|no|on|off")
_OCTAL = re.compile(r"[-+]?0(?:o[0-7]+|[0-9][0-9_]*)")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?)?)?")
_INTEGER = re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0b[01_]+|[1-9][0-9]*(?:_[0-9]+)+)")
_EXPONENT = re.compile(r"[-+]?(?:\d+[eE][-+]?\d+|(?:\d+\.\d*|\.\d+)[eE]\d+)")
_COMMA = re.compile(r"[-+]?\d+(?:,\d+)+(?:\.\d+)?")
_NAN = re.compile(r"(?i)\.?nan")


class Plain(str):
    """The text of a scalar without quotes whose meaning depends on the type of its key."""


def is_ambiguous(text: str) -> bool:
    """Return whether the meaning of a plain scalar depends on the type of its key."""
    patterns = (_BOOLEAN, _OCTAL, _SEXAGESIMAL, _DATE, _INTEGER, _EXPONENT, _COMMA, _NAN)
    return any(pattern.fullmatch(text) for pattern in patterns)


class MisreadError(ValueError):
    """A scalar that has no safe reading as the type of its key; the message is what is wrong and what to write."""


def read_scalar(value: Any, types: Set[str]) -> Any:
    """Return a scalar of a config as one of the types that its key accepts.

    Args:
        value: a scalar as read from YAML, a ``Plain`` text, or any other value, which is returned unchanged.
        types: the types that the key accepts: ``bool``, ``number``, ``text``, ``none``, and ``any`` for an unknown one.

    Raises:
        MisreadError: YAML takes the scalar for a value of another type, or it could mean several things.
    """
    if isinstance(value, Plain):
        return _read_plain(str(value), types)
    if isinstance(value, bool) and not types & {"bool", "any"} and types & {"number", "text"}:
        word = "true" if value else "false"
        expected = ", and a number is expected" if "text" not in types else ""
        raise MisreadError(f"{word} is a boolean{expected}{_quoted(word)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value and "number" in types:
            raise MisreadError("nan is not a number; write one")
        if "text" in types and not types & {"number", "bool", "any"}:
            raise MisreadError(f"{value!r} is a number, and a text is expected{_quoted(str(value))}")
    if value is None and "text" in types and not types & {"none", "any"}:
        raise MisreadError(f"null (also ~, or nothing after the colon) means no value{_quoted('null')}")
    return value


def _read_plain(text: str, types: Set[str]) -> Any:
    wants_number, wants_text, wants_any = ("number" in types), ("text" in types), ("any" in types)
    if _BOOLEAN.fullmatch(text):
        if "bool" in types:
            return text.casefold() in ("yes", "on")
        word = "true" if text.casefold() in ("yes", "on") else "false"
        if wants_number and not wants_text:
            raise MisreadError(f"YAML reads {text} as the boolean {word}, and a number is expected{_quoted(text)}")
        raise MisreadError(f"YAML reads {text} as the boolean {word}{_quoted(text)}")
    if _OCTAL.fullmatch(text):
        digits = text.lstrip("+-").replace("_", "")
        decimal = digits.removeprefix("0o").lstrip("0") or "0"
        reading = f"as the octal number {int(digits.removeprefix('0o'), 8)}" if _is_octal(digits) else "as a text"
        number = f"; write {decimal} if it is a number" if wants_number or wants_any else ""
        raise MisreadError(f"YAML reads {text} {reading}, because of the leading zero{number}{_quoted(text)}")
    if _SEXAGESIMAL.fullmatch(text):
        number = "; write a plain number if it is one" if wants_number or wants_any else ""
        raise MisreadError(f"YAML reads {text} as a number in base 60, {_in_base_60(text):g}{number}{_quoted(text)}")
    if _DATE.fullmatch(text):
        if wants_number and not wants_text:
            raise MisreadError(f"{text} is a date, and a number is expected")
        return text
    if _COMMA.fullmatch(text):
        if wants_number and not wants_text:
            raise MisreadError(
                f"{text} is not a number; write a decimal point ({text.replace(',', '.', 1)}), and no separators "
                f"of thousands{_quoted(text)}"
            )
        return text
    if _NAN.fullmatch(text):
        if wants_number and not wants_text:
            raise MisreadError(f"{text} is not a number; write one")
        return text
    if _EXPONENT.fullmatch(text):
        return float(text) if wants_number or wants_any or not wants_text else text
    if wants_text and not wants_number and not wants_any:
        raise MisreadError(f"YAML reads {text} as the number {int(text.replace('_', ''), 0)}{_quoted(text)}")
    return int(text.replace("_", ""), 0)


def _quoted(text: str) -> str:
    return f'; write it in quotes if it is a text: "{text}"'


def _is_octal(digits: str) -> bool:
    return all(digit in "01234567" for digit in digits.removeprefix("0o"))


def _in_base_60(text: str) -> float:
    value = 0.0
    for part in text.lstrip("+-").replace("_", "").split(":"):
        value = value * 60 + float(part)
    return -value if text.startswith("-") else value
