"""A quadratic energy, such as that of an Ising or Potts model, whose couplings are the result."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from al_loop.energy.energies.base import Energy
from al_loop.environments.assignment import Assignments
from al_loop.environments.base import Environment


class PairwiseEnergy(Energy):
    """Fields and couplings between all pairs of places: s(x) = sum_i h_i(x_i) + sum_{i<j} J_ij(x_i, x_j).

    With two letters the places are spins, -1 for the first letter and 1 for the second, and J_ij is one number for each
    pair (``couplings``); with more letters, one for each pair of letters.

    Args:
        environment: ``assignment``.
        fields: whether there are fields h beside the couplings.
        l1: weight of the sum of the couplings' absolute values, which makes most of them vanish if few pairs interact.

    Raises:
        ValueError: the environment is not ``assignment``.
    """

    kind = "pairwise"
    is_pair: Tensor  # n x n, whether the first place is before the second

    def __init__(self, environment: Environment, fields: bool = True, l1: Annotated[float, Field(ge=0)] = 0.0) -> None:
        if not isinstance(environment, Assignments):
            raise ValueError(f"energy.kind: pairwise requires environment.kind: assignment, not {environment.name}")
        super().__init__(environment)
        n_letters = len(environment.alphabet)
        self._is_spin = n_letters == 2
        self._n_letters, self._l1 = n_letters, l1
        width = environment.length * (1 if self._is_spin else n_letters)
        self.weight = nn.Parameter(torch.zeros(width, width))
        self.field = nn.Parameter(torch.zeros(width)) if fields else None
        place = torch.arange(width) // (1 if self._is_spin else n_letters)
        self.register_buffer("is_pair", place[:, None] < place[None, :])

    def inputs(self, states: Tensor) -> Tensor:
        """Return spins, shape n x length, or one-hot letters, shape n x (length letters)."""
        if self._is_spin:
            return 2.0 * states.float() - 1.0
        return nn.functional.one_hot(states, self._n_letters).flatten(1).float()

    def penalty(self) -> Tensor | None:
        return self._l1 * (self.weight * self.is_pair).abs().sum() if self._l1 else None

    @property
    def couplings(self) -> Tensor:
        """The symmetric couplings J, shape width x width, with a zero diagonal."""
        upper = self.weight.detach() * self.is_pair
        return upper + upper.t()

    def scores(self, inputs: Tensor) -> Tensor:
        score = ((inputs @ (self.weight * self.is_pair)) * inputs).sum(1)
        return score if self.field is None else score + inputs @ self.field
