"""What a policy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


@dataclass(frozen=True)
class Context:
    """What a policy is told beside the states.

    Args:
        values: n x n_conditions, what the reward is conditioned on; None: nothing.
        head: n, which member of an ensemble of heads decides; None: all of them together.
    """

    values: Tensor | None = None
    head: Tensor | None = None

    def rows(self, index: Tensor) -> Context:
        """The context of some of the states."""
        return Context(*(None if part is None else part[index] for part in (self.values, self.head)))


@dataclass(frozen=True)
class Logits:
    """All that a policy says of n states: n x n_actions, n x n_backward_actions, n."""

    forward: Tensor
    backward: Tensor
    log_flow: Tensor


class Policy(nn.Module, ABC):
    """Logits of the forward and the backward policy. Masks are applied by whoever calls it.

    Only ``forward_logits`` and ``backward_logits`` have to be written; the other methods are there to be faster, or
    for objectives that need the flow of a state.
    """

    #: whether ``all_logits`` costs little more than one of the halves
    shares_trunk: ClassVar[bool] = False
    #: whether ``next_logits`` looks at the states alone, so that equal states need but one call
    is_markov: ClassVar[bool] = True
    #: members of its ensemble of forward heads
    heads: int = 1

    @abstractmethod
    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """N x n_actions."""

    @abstractmethod
    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """N x n_backward_actions. It must give one value for all states that stand for one object."""

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Logarithm of the flow of the object that each state stands for: n."""
        raise ValueError(f"{type(self).__name__} knows no flow of states: take an objective that needs none")

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        """Everything at once, for policies whose halves share a trunk."""
        return Logits(
            self.forward_logits(states, context), self.backward_logits(states, context), self.log_flow(states, context)
        )

    def forward_log_prob(self, states: Tensor, mask: Tensor, actions: Tensor, context: Context | None = None) -> Tensor:
        """Log-probability of one allowed action in each state: n, by the n x n_actions mask of the allowed ones.

        A policy may override it where all logits of all states cost more than that.
        """
        log_p = self.forward_logits(states, context).masked_fill(~mask, -torch.inf).log_softmax(-1)
        return log_p.gather(1, actions[:, None])[:, 0]

    def along(self, states: Tensor, context: Context | None = None) -> Logits | None:
        """All logits of whole trajectories (T + 1 x n x state_size) at a smaller price than state by state.

        The tensors have T + 1 x n in front. None: there is no such shortcut.
        """
        return None

    def start(self, n: int, device: torch.device) -> Any:
        """What the policy keeps of n roll-outs between their steps, such as keys and values of attention."""
        return None

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        """``forward_logits`` within a roll-out.

        Args:
            states: m x state_size, each one step after the last call.
            context: of these states.
            memory: what ``start`` gave; it may be changed in place.
            rows: which of the n roll-outs the states belong to (m); None: all of them.
        """
        return self.forward_logits(states, context)

    def forward(self, *_: Any) -> Any:
        """Not used: a policy has two halves."""
        raise TypeError("call forward_logits or backward_logits")


class Heads(nn.Module):
    """A linear layer, or an ensemble of them that share one weight matrix (BatchEnsemble, Wen et al. 2020).

    Each member scales the inputs and the outputs by vectors of its own. Without a choice of members the outputs are
    the mean over all of them.
    """

    def __init__(self, n_in: int, n_out: int, members: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.members = members
        if members > 1:
            self.scale_in = nn.Parameter(1 + 0.5 * torch.randn(members, n_in))
            self.scale_out = nn.Parameter(1 + 0.1 * torch.randn(members, n_out))

    def forward(self, x: Tensor, head: Tensor | None = None) -> Tensor:
        """N x n_in, n members -> n x n_out."""
        if self.members == 1:
            return linear(x, self.linear.weight, self.linear.bias)
        if head is None:
            each = [self.linear(x * s) * r for s, r in zip(self.scale_in, self.scale_out, strict=True)]
            return torch.stack(each).mean(0)
        return self.linear(x * self.scale_in[head]) * self.scale_out[head]  # type: ignore[no-any-return]
