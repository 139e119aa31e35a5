"""What policies share that read an observation place by place: the condition of the state."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies.base import Policy


class ObservedPolicy(Policy):
    """A policy whose network reads as many numbers for each place of an observation.

    Args:
        environment: the latents under conditions, which are the observations.
        n_places: number of places of an observation.
        noun: what the places are, in the plural, for the message.
        n_conditions: not supported, must be 0.
        heads: not supported, must be 1.

    Raises:
        ValueError: the conditions do not have as many numbers for each place, or an argument is not supported.
    """

    def __init__(self, environment: Conditioned, n_places: int, noun: str, n_conditions: int, heads: int) -> None:
        super().__init__()
        if n_conditions or heads != 1:
            raise ValueError(f"policy: {self.kind} has neither conditions of the reward nor several heads")
        self._environment, self._length = environment, n_places
        self._width, rest = divmod(environment.conditions.shape[1], n_places)
        if rest:
            raise ValueError(f"policy: {self.kind} requires the same number of inputs for each of {n_places} {noun}")

    def _observed(self, states: Tensor) -> Tensor:
        """Return the inputs of the places of the states' observations, shape n x n_places x width."""
        return self._environment.condition_of(states).view(len(states), self._length, self._width)

    def _observed_once(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of the m observations that n states have, and which of them each state has, shape n.

        The inputs have the shape m x n_places x width.
        """
        index, row = torch.unique(states[:, 0], return_inverse=True)
        numbers = torch.arange(len(row), device=row.device)
        if len(index) == len(states):
            return self._observed(states), numbers
        return self._observed(states[torch.empty_like(index).scatter_(0, row, numbers)]), row
