"""Checks of arguments and data that several models share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

#: largest absolute value of an observation: its square is still an ordinary number in single precision
_LARGEST = 1e9


def in_range(name: str, value: float, low: float, high: float) -> float:
    """Return a number after checking its range.

    Args:
        name: of the argument, for the message.
        value: the number.
        low: the smallest value that is accepted.
        high: the largest.

    Raises:
        ValueError: it is outside the range, or not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name}: must be a number from {low:g} to {high:g}, got {value!r:.80}")
    return value


def at_least_one(name: str, value: int) -> int:
    """Return a number of things after checking that it is a whole number of at least 1.

    Args:
        name: of the argument, for the message.
        value: the number.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: must be a whole number of at least 1, got {value!r:.80}")
    return value


def read_numbers(data: Any, what: str) -> Tensor:
    """Return data as a tensor of double precision, on its device if it has one.

    Args:
        data: a tensor, an array or lists.
        what: what is expected, for the message.

    Raises:
        ValueError: the data are not real numbers, not finite, or too large.
    """
    if isinstance(data, Tensor):
        numbers = data.detach()
    else:
        try:
            numbers = torch.from_numpy(np.array(data, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected {what}: {error}") from None
    if numbers.is_complex():
        raise ValueError(f"expected {what}, got complex numbers")
    numbers = numbers.double()
    rows = numbers.flatten(1) if numbers.ndim > 1 else numbers.reshape(-1, 1)
    for is_bad, reason in (
        (~rows.isfinite(), "is not finite"),
        (rows.abs() > _LARGEST, f"is larger than {_LARGEST:g}; rescale the data"),
    ):
        if bool(is_bad.any()):
            row = int(is_bad.any(1).nonzero()[0])
            raise ValueError(f"row {row + 1}: {float(rows[row][is_bad[row]][0]):g} {reason}")
    return numbers


def numbered(n: int) -> list[str]:
    """Return n different letters of one width for an alphabet of numbers."""
    width = max(3, len(str(n - 1)))
    return [f"{i:0{width}d}" for i in range(n)]
