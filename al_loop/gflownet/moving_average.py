"""The moving average of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Return an update of an exponential moving average whose decay at step t is at most (1 + t) / (10 + t)."""

    @torch.no_grad()
    def update(averages: _Tensors, weights: _Tensors, n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + n) / (10 + n)))

    return update
