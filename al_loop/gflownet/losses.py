"""Regression losses of the residual of a balance condition, a difference of log-flows.

Every loss is zero, with zero slope, only at 0, so that all have the same solution (Hu et al. 2024, "Beyond squared
error: exploring loss design for enhanced training of GFlowNets"). They apply to tensors of any shape, elementwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["squared", "huber", "cosh", "linex"]
#: exponentials are continued linearly above this residual, so that a single bad trajectory cannot ruin the weights
_MAX_EXPONENT = 8.0


def _exp(t: Tensor) -> Tensor:
    low = t.clamp(max=_MAX_EXPONENT).exp()
    return torch.where(t > _MAX_EXPONENT, low.detach() * (1 + t - _MAX_EXPONENT), low)


def squared(t: Tensor) -> Tensor:
    """Return t^2."""
    return t.square()


def huber(t: Tensor) -> Tensor:
    """Return t^2 for |t| <= 1, else 2|t| - 1."""
    return torch.where(t.abs() <= 1, t.square(), 2 * t.abs() - 1)


def cosh(t: Tensor) -> Tensor:
    """Return e^t + e^-t - 2, which is zero-forcing and zero-avoiding at once."""
    return _exp(t) + _exp(-t) - 2


def linex(t: Tensor) -> Tensor:
    """Return e^-t + t - 1, which is steep for t < 0, where the flow of the policy is below the reward."""
    return _exp(-t) + t - 1


LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {"squared": squared, "huber": huber, "cosh": cosh, "linex": linex}
