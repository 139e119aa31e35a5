"""Numbers as texts for people."""

from __future__ import annotations


def significant(value: float, digits: int = 4) -> str:
    """Return a number with a few significant digits; a large one has all its whole digits, and no exponent.

    Args:
        value: the number.
        digits: significant digits of a number with fewer whole ones, at least 1.
    """
    value += 0.0  # -0.0 becomes 0.0
    if 10**digits - 0.5 <= abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"
