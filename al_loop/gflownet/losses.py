"""Regression losses: what becomes of the residual of a balance condition, a difference of log-flows.

Every loss is zero with zero slope at 0 alone, so that all have the same solution (Hu et al. 2024, "Beyond squared
error: exploring loss design for enhanced training of GFlowNets").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

LossName = Literal["squared", "huber", "cosh", "linex"]
#: exponentials of larger residuals are continued linearly, so that one bad trajectory does not wash out the weights
_MOST = 8.0


def _exp(t: Tensor) -> Tensor:
    low = t.clamp(max=_MOST).exp()
    return torch.where(t > _MOST, low.detach() * (1 + t - _MOST), low)


def squared(t: Tensor) -> Tensor:
    """t^2."""
    return t.square()


def huber(t: Tensor) -> Tensor:
    """t^2 near 0, 2|t| - 1 beyond 1."""
    return torch.where(t.abs() <= 1, t.square(), 2 * t.abs() - 1)


def cosh(t: Tensor) -> Tensor:
    """e^t + e^-t - 2: zero-forcing and zero-avoiding at once."""
    return _exp(t) + _exp(-t) - 2


def linex(t: Tensor) -> Tensor:
    """e^-t + t - 1, where t is (flow of the policy) - (flow of the reward): steep where the policy draws too little."""
    return _exp(-t) + t - 1


LOSSES: dict[LossName, Callable[[Tensor], Tensor]] = {"squared": squared, "huber": huber, "cosh": cosh, "linex": linex}
