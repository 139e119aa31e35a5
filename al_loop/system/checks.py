"""Checks of arguments: ranges, whole numbers and choices."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

from al_loop.errors import not_one_of

#: a time in seconds (32 years) that stands for any longer one: the operating system's timers end at about 9e9
LONGEST_S = 1e9


def is_number(value: object) -> bool:
    """Return whether a value is a real number, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Return whether a value is a whole number, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def in_range(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False
) -> None:
    """Raise an error unless a value is a number in a range.

    Args:
        name: name of the argument, for the message.
        value: the value.
        low: the smallest number that is accepted.
        high: the largest.
        above: whether ``low`` itself is excluded.
        below: whether ``high`` itself is excluded; with an infinite ``high``, the number must be finite.

    Raises:
        ValueError: it is outside the range, NaN, or no number.
    """
    if is_number(value):
        number = float(value)
        if (low < number if above else low <= number) and (number < high if below else number <= high):
            return
    if not above and not below and math.isfinite(low) and math.isfinite(high):
        expected = f"from {low:g} to {high:g}"
    else:
        top = ("finite" if math.isinf(high) else f"below {high:g}") if below else f"at most {high:g}"
        parts = [f"{'above' if above else 'at least'} {low:g}"] if math.isfinite(low) else []
        parts += [top] if below or math.isfinite(high) else []
        expected = " and ".join(parts)
    raise ValueError(f"{name}: must be a number {expected}".rstrip() + f", got {value!r:.80}")


def whole_number(name: str, value: Any, least: int) -> None:
    """Raise an error unless a value is a whole number of at least ``least``.

    Args:
        name: name of the argument, for the message.
        value: the value.
        least: the smallest number that is accepted.

    Raises:
        ValueError: it is smaller, or no whole number.
    """
    if not is_whole(value) or int(value) < least:
        raise ValueError(f"{name}: must be a whole number of at least {least}, got {value!r:.80}")


def one_of(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise an error unless a value is one of several names.

    Args:
        name: name of the argument, for the message.
        value: the value.
        choices: the names.

    Raises:
        ValueError: it is none of them.
    """
    names = list(choices)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name}: {not_one_of(value, names)}")


def instance_of(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Raise an error unless a value is an object of a class.

    Args:
        name: name of the argument, for the message.
        value: the value.
        kind: the class, or several.
        expected: what is expected, for the message.

    Raises:
        ValueError: it is no object of the class.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name}: must be {expected}, got {value!r:.80}")
