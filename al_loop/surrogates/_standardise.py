"""Shift and scale of a target."""

from __future__ import annotations

from torch import Tensor


def shift_and_scale(y: Tensor) -> tuple[float, float]:
    """Return the mean and standard deviation of a target, with 1 in place of the deviation of equal values."""
    shift, spread = float(y.mean()), float(y.std(correction=0))
    return shift, spread if spread > 1e-12 * max(1.0, abs(shift)) else 1.0
