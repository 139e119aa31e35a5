"""The interface of all policies, and shared layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


@dataclass(frozen=True)
class Context:
    """Inputs of a policy besides the states.

    Args:
        values: conditions of the reward, shape n x n_conditions; None: no conditions.
        head: the member of an ensemble of heads that decides, shape n; None: the mean of all of them.
    """

    values: Tensor | None = None
    head: Tensor | None = None

    def rows(self, index: Tensor) -> Context:
        """Return the context of the states selected by an index."""
        return Context(*(None if part is None else part[index] for part in (self.values, self.head)))


@dataclass(frozen=True)
class Logits:
    """All outputs of a policy for n states.

    Args:
        forward: logits of the actions, shape n x n_actions.
        backward: logits of the backward actions, shape n x n_backward_actions.
        log_flow: log-flows, shape n; None: the policy does not model flows.
    """

    forward: Tensor
    backward: Tensor
    log_flow: Tensor | None


class Policy(nn.Module, ABC):
    """Logits of the forward and the backward policy, to which the caller applies masks.

    Only ``forward_logits`` and ``backward_logits`` have to be implemented. ``log_flow`` is required by objectives that
    use the flow of partial objects; the other methods can be overridden for speed.
    """

    #: whether ``all_logits`` costs little more than one half
    shares_trunk: ClassVar[bool] = False
    #: whether ``next_logits`` depends only on the states, so that equal states require only one call
    is_markov: ClassVar[bool] = True
    #: number of members of its ensemble of forward heads
    heads: int = 1

    @abstractmethod
    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return logits of the actions, shape n x n_actions.

        Args:
            states: states, shape n x state_size.
            context: context of each state.
        """

    @abstractmethod
    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        """Return logits of the backward actions, shape n x n_backward_actions.

        They must be equal for all states that represent the same object.

        Args:
            states: states, shape n x state_size.
            context: context of each state.
        """

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor | None:
        """Return the log-flow of the object that each state represents, shape n, or None if flows are not modelled.

        Args:
            states: states, shape n x state_size.
            context: context of each state.
        """
        return None

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        """Return all outputs at once; policies whose halves share a trunk override it.

        Args:
            states: states, shape n x state_size.
            context: context of each state.
        """
        return Logits(
            self.forward_logits(states, context), self.backward_logits(states, context), self.log_flow(states, context)
        )

    def forward_log_prob(self, states: Tensor, mask: Tensor, actions: Tensor, context: Context | None = None) -> Tensor:
        """Return the log-probability of one allowed action in each state, shape n.

        A policy may override it if computing the logits of all actions costs more.

        Args:
            states: states, shape n x state_size.
            mask: allowed actions, shape n x n_actions.
            actions: actions, shape n.
            context: context of each state.
        """
        log_p = self.forward_logits(states, context).masked_fill(~mask, -torch.inf).log_softmax(-1)
        return log_p.gather(1, actions[:, None])[:, 0]

    def along(self, states: Tensor, context: Context | None = None) -> Logits | None:
        """Return all outputs along whole trajectories, or None if that costs no less than state by state.

        Args:
            states: states, shape T + 1 x n x state_size.
            context: context of each trajectory.

        Returns:
            Logits whose tensors have the leading dimensions T + 1 x n.
        """
        return None

    def start(self, n: int, device: torch.device) -> Any:
        """Return the memory of n roll-outs between their steps, such as keys and values of attention.

        Args:
            n: number of roll-outs.
            device: the device of the roll-outs.
        """
        return None

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        """Return ``forward_logits`` within a roll-out, shape m x n_actions.

        Args:
            states: states, shape m x state_size, each one step after the last call.
            context: context of these states.
            memory: the value of ``start``, which may be modified in place.
            rows: the roll-outs to which the states belong, shape m; None: all n of them.
        """
        return self.forward_logits(states, context)

    def forward(self, *_: Any) -> Any:
        """Raise a TypeError, since a policy has two halves."""
        raise TypeError("call forward_logits or backward_logits")


class Heads(nn.Module):
    """A linear layer, or an ensemble of them that share one weight matrix (BatchEnsemble, Wen et al. 2020).

    Each member scales the inputs and the outputs by its own vectors. If no member is chosen, the outputs are the mean
    over all members.

    Args:
        n_in: number of inputs.
        n_out: number of outputs.
        members: size of the ensemble; 1: an ordinary linear layer.
    """

    def __init__(self, n_in: int, n_out: int, members: int = 1) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.members = members
        if members > 1:
            self.scale_in = nn.Parameter(1 + 0.5 * torch.randn(members, n_in))
            self.scale_out = nn.Parameter(1 + 0.1 * torch.randn(members, n_out))

    def forward(self, x: Tensor, head: Tensor | None = None) -> Tensor:
        """Return the outputs, shape n x n_out.

        Args:
            x: inputs, shape n x n_in.
            head: the member for each row, shape n; None: the mean over all.
        """
        if self.members == 1:
            return linear(x, self.linear.weight, self.linear.bias)
        if head is None:
            outputs = [self.linear(x * s) * r for s, r in zip(self.scale_in, self.scale_out, strict=True)]
            return torch.stack(outputs).mean(0)
        return self.linear(x * self.scale_in[head]) * self.scale_out[head]  # type: ignore[no-any-return]
