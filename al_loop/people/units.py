"""Conversion between units, by pint."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from al_loop.errors import ConfigError


def conversion_factor(unit: str, target: str) -> float | None:
    """Return the factor that converts a value from one unit to another.

    Args:
        unit: the unit of the value.
        target: the unit to convert to; empty: a number without unit, to which nothing is converted.

    Returns:
        The factor; None if the units are unknown or incompatible, or if no factor converts them (as with °C and K).

    Raises:
        ConfigError: pint is not installed.
    """
    if not target:
        return None
    try:
        import pint
    except ImportError:
        raise ConfigError(
            f"the table is in {unit} and the run in {target}; pip install pint, which converts them"
        ) from None
    registry: Any = pint.UnitRegistry()
    with suppress(Exception):  # pint raises many types for what it cannot read
        zero, one = (registry.Quantity(x, unit).to(target).magnitude for x in (0.0, 1.0))
        if zero == 0 and math.isfinite(one) and one > 0:
            return float(f"{one:.12g}")  # 1000, where the conversion yields 999.9999999999999
    return None
