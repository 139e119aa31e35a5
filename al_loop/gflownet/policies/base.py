"""What a policy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class Policy(nn.Module, ABC):
    """Logits of the forward and the backward policy. Masks are applied by whoever calls it."""

    @abstractmethod
    def forward_logits(self, states: Tensor) -> Tensor:
        """N x n_actions."""

    @abstractmethod
    def backward_logits(self, states: Tensor) -> Tensor:
        """N x n_backward_actions. It must give one value for all states that stand for one object."""

    def forward_log_prob(self, states: Tensor, mask: Tensor, actions: Tensor) -> Tensor:
        """Log-probability of one allowed action in each state: n, by the n x n_actions mask of the allowed ones.

        A policy may override it where all logits of all states cost more than that.
        """
        log_p = self.forward_logits(states).masked_fill(~mask, -torch.inf).log_softmax(-1)
        return log_p.gather(1, actions[:, None])[:, 0]

    def forward(self, *_: Any) -> Any:
        """Not used: a policy has two halves."""
        raise TypeError("call forward_logits or backward_logits")
