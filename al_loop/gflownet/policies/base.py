"""What a policy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Policy(nn.Module, ABC):
    """Logits of the forward and the backward policy. Masks are applied by whoever calls it."""

    @abstractmethod
    def forward_logits(self, states: Tensor) -> Tensor:
        """N x n_actions."""

    @abstractmethod
    def backward_logits(self, states: Tensor) -> Tensor:
        """N x n_backward_actions. It must give one value for all states that stand for one object."""

    def forward(self, *_: Any) -> Any:
        raise TypeError("call forward_logits or backward_logits")
