"""Conversion between units with pint."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from al_loop.errors import ConfigError


def conversion_factor(unit: str, target: str) -> float | None:
    """Return the factor that converts a value from one unit to another.

    Args:
        unit: the unit of the value.
        target: the unit to convert to; empty for dimensionless values, to which nothing is converted.

    Returns:
        The factor; None if the units are unknown or incompatible, or are not proportional (such as °C and K).

    Raises:
        ConfigError: pint is not installed.
    """
    if not target:
        return None
    try:
        import pint
    except ImportError:
        raise ConfigError(
            f"converting the table's {unit} to the run's {target} requires pint; pip install pint"
        ) from None
    registry: Any = pint.UnitRegistry()
    with suppress(Exception):  # pint raises many types for text that it cannot parse
        zero, one = (registry.Quantity(x, unit).to(target).magnitude for x in (0.0, 1.0))
        if zero == 0 and math.isfinite(one) and one > 0:
            return float(f"{one:.12g}")  # 1000, although the conversion yields 999.9999999999999
    return None
