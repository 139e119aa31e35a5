"""The moving average of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    """Return an update of an exponential moving average whose decay at step t is at most (1 + t) / (10 + t)."""

    @torch.no_grad()
    def update(averages: _Tensors, weights: _Tensors, n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        torch._foreach_lerp_(averages, weights, 1 - min(decay, (1 + n) / (10 + n)))

    return update


@torch.no_grad()
def update_on_device(average: AveragedModel, model: nn.Module, decay: float) -> None:
    """Update an average like ``AveragedModel.update_parameters``, without reading its count from the device.

    Args:
        average: the average, whose count is on the device of the weights.
        model: the model.
        decay: see ``moving_average``.
    """
    n = average.n_averaged
    share = torch.where(n == 0, 1.0, 1 - ((1 + n) / (10 + n)).clamp(max=decay))
    for own, new in zip(average.module.parameters(), model.parameters(), strict=True):
        own.lerp_(new.detach(), share)
    for buffer, other in zip(average.module.buffers(), model.buffers(), strict=True):
        buffer.copy_(other)
    n.add_(1)
