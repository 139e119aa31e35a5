"""Any policy in a conditioned environment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies.base import ChosenSteps, Context, Logits, Policy


class ConditionedPolicy(Policy):
    """The policy of the objects' environment, which is given the vector of each state's condition.

    The vector precedes temperature and preferences among the policy's conditions. ``MLPPolicy`` does not need this: it
    finds the vector among the features.

    Args:
        environment: the space.
        policy: a policy of ``environment.environment``, whose conditions include the vectors.
    """

    def __init__(self, environment: Conditioned, policy: Policy) -> None:
        super().__init__()
        self._environment, self.policy, self.heads = environment, policy, policy.heads
        self.shares_trunk, self.is_markov = policy.shares_trunk, policy.is_markov  # type: ignore[misc]
        self.reads_from_device = policy.reads_from_device  # type: ignore[misc]

    def _split(self, states: Tensor, context: Context | None) -> tuple[Tensor, Context]:
        """Return the states of the objects, and the context with the vectors of their conditions."""
        vectors = self._environment.condition_of(states)
        if context is None:
            return states[..., 1:], Context(vectors)
        values = vectors if context.values is None else torch.cat([vectors, context.values], -1)
        return states[..., 1:], Context(values, context.head)

    def forward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.policy.forward_logits(*self._split(states, context))

    def backward_logits(self, states: Tensor, context: Context | None = None) -> Tensor:
        return self.policy.backward_logits(*self._split(states, context))

    def log_flow(self, states: Tensor, context: Context | None = None) -> Tensor | None:
        return self.policy.log_flow(*self._split(states, context))

    def all_logits(self, states: Tensor, context: Context | None = None) -> Logits:
        return self.policy.all_logits(*self._split(states, context))

    def forward_log_prob(self, states: Tensor, mask: Tensor, actions: Tensor, context: Context | None = None) -> Tensor:
        objects, own_context = self._split(states, context)
        return self.policy.forward_log_prob(objects, mask, actions, own_context)

    def along(self, states: Tensor, context: Context | None = None) -> Logits | None:
        _, own_context = self._split(states[0], context)
        return self.policy.along(states[..., 1:], own_context)

    def chosen_steps(
        self, states: Tensor, actions: Tensor, index: Tensor, context: Context | None, uses_flows: bool
    ) -> ChosenSteps | None:
        _, own_context = self._split(states[0], context)
        return self.policy.chosen_steps(states[..., 1:], actions, index, own_context, uses_flows)

    @property
    def frozen_names(self) -> frozenset[str]:
        return frozenset(f"policy.{name}" for name in self.policy.frozen_names)

    @property
    def frozen_digest(self) -> str | None:
        return self.policy.frozen_digest

    def reference(self) -> Policy | None:
        reference = self.policy.reference()
        return None if reference is None else ConditionedPolicy(self._environment, reference)

    def start_from(self, states: Tensor) -> Any:
        return self.policy.start_from(states[..., 1:])

    def start(self, n: int, device: torch.device) -> Any:
        return self.policy.start(n, device)

    def next_logits(self, states: Tensor, context: Context | None, memory: Any, rows: Tensor | None) -> Tensor:
        objects, own_context = self._split(states, context)
        return self.policy.next_logits(objects, own_context, memory, rows)
