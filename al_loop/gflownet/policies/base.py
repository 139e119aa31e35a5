"""The interface of all policies, and shared layers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from al_loop.environments.base import Environment


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


def condition_values(context: Context | None) -> Tensor:
    """Return the conditions of the reward, which a conditioned policy requires, shape n x n_conditions.

    Args:
        context: the context of n states.

    Raises:
        ValueError: there are none.
    """
    if context is None or context.values is None:
        raise ValueError("the policy is conditioned, and requires a context with values")
    return context.values


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


@dataclass(frozen=True)
class ChosenSteps:
    """Outputs of a policy for m steps, without the logits of the other actions.

    Args:
        log_pf: log-probabilities of the actions that were taken, shape m.
        log_stop: log-probabilities of stopping instead, shape m, -inf where that is not allowed.
        log_flow: log-flows of the states after the steps, shape m; None: not asked for, or not modelled.
    """

    log_pf: Tensor
    log_stop: Tensor
    log_flow: Tensor | None = None


class Policy(nn.Module, ABC):
    """Logits of the forward and the backward policy, to which the caller applies masks.

    Only ``forward_logits`` and ``backward_logits`` have to be implemented. ``log_flow`` is required by objectives that
    use the flow of partial objects; the other methods can be overridden for speed.
    """

    #: whether ``all_logits`` costs little more than one half
    shares_trunk: ClassVar[bool] = False
    #: whether ``next_logits`` depends only on the states, so that equal states require only one call, and the value of
    #: ``start`` serves any roll-outs
    is_markov: ClassVar[bool] = True
    #: whether it reads numbers back from the device, so that it can be neither compiled nor recorded
    reads_from_device: ClassVar[bool] = False
    #: number of members of its ensemble of forward heads
    heads: int = 1

    @property
    def made_for(self) -> Environment | None:
        """The environment that the policy was given, which it stores as ``_environment``; None: not known."""
        environment: Environment | None = self.__dict__.get("_environment")
        return environment

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

    def chosen_steps(
        self, states: Tensor, actions: Tensor, index: Tensor, context: Context | None, uses_flows: bool
    ) -> ChosenSteps | None:
        """Return the log-probabilities of chosen actions; None: they are computed from the logits of all actions.

        Policies with thousands of actions implement it, so that the logits of all states are never held at once.

        Args:
            states: states of n trajectories, shape T + 1 x n x state_size.
            actions: their actions, shape T x n.
            index: the m steps, as indices into the T x n.
            context: context of each trajectory.
            uses_flows: whether ``log_flow`` is required.
        """
        return None

    def start(self, n: int, device: torch.device) -> Any:
        """Return the memory of n roll-outs between their steps, such as keys and values of attention.

        Args:
            n: number of roll-outs.
            device: the device of the roll-outs.
        """
        return None

    def start_from(self, states: Tensor) -> Any:
        """Return the memory of roll-outs from start states, which may hold conditions such as prompts.

        Args:
            states: the start states, shape n x state_size.
        """
        return self.start(len(states), states.device)

    # -- weights -------------------------------------------------------------------------------------------------------

    @property
    def frozen_names(self) -> frozenset[str]:
        """Names of the weights in ``state_dict`` that training never changes, and that come from a file."""
        return frozenset()

    @property
    def frozen_digest(self) -> str | None:
        """SHA-256 of the file of the frozen weights; None if there is no such file."""
        return None

    def trainable_state(self) -> dict[str, Tensor]:
        """Return the weights that training changes, by name: all that is sent to samplers and saved."""
        frozen = self.frozen_names
        return {name: weight for name, weight in self.state_dict().items() if name not in frozen}

    def load_trainable_state(self, state: Mapping[str, Tensor]) -> None:
        """Set the weights that training changes.

        Args:
            state: see ``trainable_state``.

        Raises:
            RuntimeError: the names or the shapes differ.
        """
        frozen = self.frozen_names
        self.load_state_dict({**state, **{k: v for k, v in self.state_dict().items() if k in frozen}})

    def reference(self) -> Policy | None:
        """Return the frozen policy from which training starts, such as one without adapters; None: there is none."""
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Policy:
        """Return a copy that shares the frozen weights."""
        frozen = self.frozen_names
        if frozen:
            parts = dict(self.named_parameters(remove_duplicate=False)) | dict(self.named_buffers())
            memo.update({id(parts[name]): parts[name] for name in frozen})
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

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


_FEW_OUTPUTS = 8


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
        """Return the outputs, shape n x n_out, in float32 also where the rest of the network is in bfloat16.

        Log-probabilities from logits that are .06 apart, as those of bfloat16 around 10 are, would not balance.

        Args:
            x: inputs, shape n x n_in.
            head: the member for each row, shape n; None: the mean over all.
        """
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._outputs(x.float(), head)
        return self._outputs(x, head)

    def _outputs(self, x: Tensor, head: Tensor | None) -> Tensor:
        if self.members == 1:
            weight, bias = self.linear.weight, self.linear.bias
            if torch.compiler.is_compiling() and not torch.is_grad_enabled() and len(weight) <= _FEW_OUTPUTS:
                return (x[:, None] * weight).sum(-1) + bias  # part of one kernel, where a product is two
            return linear(x, weight, bias)
        if head is None:
            outputs = [self.linear(x * s) * r for s, r in zip(self.scale_in, self.scale_out, strict=True)]
            return torch.stack(outputs).mean(0)
        return self.linear(x * self.scale_in[head]) * self.scale_out[head]  # type: ignore[no-any-return]
