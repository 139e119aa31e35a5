"""Numbers that users give as data, and letters that stand for numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

#: largest absolute value of an observation: its square is still an ordinary number in single precision
_LARGEST = 1e9


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
