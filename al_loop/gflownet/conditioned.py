"""Any environment under conditions, which the state contains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment


class Conditioned(Environment):
    """An environment whose first state column is the index of a condition, such as an observation or a scaffold.

    Policies see the condition's vector among the features, and a ``StateReward`` reads its index from the state, so
    that one sampler serves every condition: p(object | condition) in proportion to R(object, condition). Trajectories,
    replay, backward walks and exact distributions work as for any environment.

    Args:
        environment: the environment of the objects.
        conditions: one vector for each condition, shape n_conditions x k; there is at least one, and k is at least 1.

    Raises:
        ValueError: the conditions are not a finite matrix, or the environment is conditioned already.
    """

    condition_size = 1

    def __init__(self, environment: Environment, conditions: Tensor) -> None:
        if conditions.ndim != 2 or not conditions.numel() or not bool(conditions.isfinite().all()):
            raise ValueError(
                "conditions: expected a finite matrix, n_conditions x k, with at least one row and one column, got "
                f"shape {tuple(conditions.shape)}"
            )
        if environment.condition_size:
            raise ValueError(f"environment: {environment.name} is conditioned already")
        self.environment = environment
        self.conditions, self.n_conditions = conditions.float(), len(conditions)
        self.object_type = environment.object_type  # type: ignore[misc]
        self.n_actions, self.n_backward_actions = environment.n_actions, environment.n_backward_actions
        self.state_size, self.max_steps = environment.state_size + 1, environment.max_steps
        self.n_features = environment.n_features + conditions.shape[1]
        self.has_stop, self.reads_from_device = environment.has_stop, environment.reads_from_device
        self.alphabet, self.length, self.order = environment.alphabet, environment.length, environment.order

    @property
    def name(self) -> str:
        return f"conditioned {self.environment.name}"

    def start(self, index: Tensor) -> Tensor:
        """Return the initial states of conditions, shape n x state_size.

        Args:
            index: indices of the conditions, shape n.
        """
        return self._join(index, self.environment.initial(len(index), index.device))

    def check_index(self, index: Tensor) -> None:
        """Check that there are conditions of some indices.

        Args:
            index: indices of conditions, shape n.

        Raises:
            ValueError: an index is below 0, or not below the number of conditions.
        """
        is_outside = (index < 0) | (index >= len(self.conditions))
        if bool(is_outside.any()):
            raise ValueError(
                f"condition: expected an index from 0 to {len(self.conditions) - 1}, got {int(index[is_outside][0])}"
            )

    def sample_starts(self, n: int, repeats: int, generator: torch.Generator) -> Tensor:
        """Return initial states of conditions drawn uniformly, each for ``repeats`` successive rows."""
        n_draws = -(-n // repeats)
        index = torch.randint(len(self.conditions), (n_draws,), generator=generator, device=generator.device)
        return self.start(index.repeat_interleave(repeats)[:n])

    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Return n initial states of the first condition."""
        return self.start(torch.zeros(n, dtype=torch.int64, device=device))

    @staticmethod
    def _join(index: Tensor, states: Tensor) -> Tensor:
        return torch.cat([index[..., None], states], -1)

    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        return self._join(states[:, 0], self.environment.step(states[:, 1:], actions))

    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return self._join(states[:, 0], self.environment.backward_step(states[:, 1:], backward_actions))

    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        return self.environment.backward_action(states[:, 1:], actions)

    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        return self.environment.forward_action(states[:, 1:], backward_actions)

    def forward_mask(self, states: Tensor) -> Tensor:
        return self.environment.forward_mask(states[:, 1:])

    def backward_mask(self, states: Tensor) -> Tensor:
        return self.environment.backward_mask(states[:, 1:])

    def is_terminal(self, states: Tensor) -> Tensor:
        return self.environment.is_terminal(states[:, 1:])

    def condition_of(self, states: Tensor) -> Tensor:
        """Return the vectors of the states' conditions, shape ... x k, on the device of the states."""
        if self.conditions.device != states.device:
            self.conditions = self.conditions.to(states.device)
        return self.conditions[states[..., 0]]

    def features(self, states: Tensor) -> Tensor:
        """Return the features of the object, then the vector of the condition."""
        return torch.cat([self.environment.features(states[:, 1:]), self.condition_of(states)], 1)

    def retrace(self, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
        forward, actions = self.environment.retrace(states[:, 1:], backward_actions)
        return self._join(states[:, 0].expand(len(forward), -1), forward), actions

    def log_paths(self, states: Tensor) -> Tensor:
        return self.environment.log_paths(states[:, 1:])

    def log_multiplicity(self, states: Tensor) -> Tensor:
        return self.environment.log_multiplicity(states[:, 1:])

    def decode(self, states: Tensor) -> list[str]:
        return self.environment.decode(states[:, 1:])

    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return terminal states of objects under the first condition; set column 0 for another."""
        states = self.environment.encode(objects)
        return self._join(torch.zeros(len(states), dtype=torch.int64), states)

    def vocabulary(self) -> list[Any]:
        return [*self.environment.vocabulary(), self.conditions.shape[1]]
