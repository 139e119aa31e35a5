"""Numbers and durations as short texts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from al_loop.system.numbers import significant


def format_number(value: float | None) -> str:
    """Return a measured value with three decimals, or four significant digits if large or small; a dash for none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.3f}" if value == 0 or 0.1 <= abs(value) < 10_000 else significant(value)


def with_unit(value: float | None, unit: str) -> str:
    """Return a measured value with its unit, which may be empty."""
    return f"{format_number(value)} {unit}".rstrip()


def two_decimals(value: float) -> str:
    """Return a value with two decimals; a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def format_seconds(value: float) -> str:
    """Return seconds with one decimal below 100, else without decimals."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def format_duration(seconds: float) -> str:
    """Return a duration such as ``"42 s"``, ``"17 min"`` or ``"3 h 5 min"``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def format_values(values: Sequence[float], names: Sequence[str] = ()) -> str:
    """Return the values of an object, separated by commas; with names, each has its own.

    Args:
        values: one for each objective.
        names: the objectives, if there are several.
    """
    texts = [format_number(value) for value in values]
    labelled = [f"{name} {text}" for name, text in zip(names, texts, strict=True)] if names else texts
    return ", ".join(labelled)
