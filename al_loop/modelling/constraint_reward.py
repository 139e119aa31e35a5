"""The reward of meeting constraints, towards which a sampler is trained where random objects hardly meet them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from al_loop.modelling.constraints import Constraints

#: distance from a bound, in units of its property's scale, beyond which none is worse than another
_FARTHEST = 10.0


class ConstraintReward:
    """The log-reward of objects, log R = -beta x shortfall.

    The shortfall is the number of bounds that an object breaks, plus its distance from each in units of the property's
    scale: the count makes each further bound worth meeting, the distances show the way to it.

    Args:
        constraints: the bounds; at least one.
        beta: inverse temperature, above 0.
        n_objectives: number of equal columns of the reward, for a sampler that is conditioned on preferences.
    """

    def __init__(self, constraints: Constraints, beta: float = 1.0, n_objectives: int = 1) -> None:
        self._constraints, self._beta, self._n_objectives = constraints, beta, n_objectives
        self._shortfalls: dict[str, float] = {}

    def at(self, beta: float) -> ConstraintReward:
        """Return the reward at another inverse temperature."""
        other = ConstraintReward(self._constraints, beta, self._n_objectives)
        other._shortfalls = self._shortfalls
        return other

    def shortfall(self, objects: Sequence[str]) -> Tensor:
        """Return how far objects are from meeting all bounds, n, double precision; 0 for an acceptable object."""
        new = [o for o in dict.fromkeys(objects) if o not in self._shortfalls]
        if new:
            distances = self._constraints.distances(new)
            shortfall = (distances.clamp(max=_FARTHEST) + (distances > 0)).sum(1)
            self._shortfalls.update(zip(new, shortfall.tolist(), strict=True))
        return torch.tensor([self._shortfalls[o] for o in objects], dtype=torch.float64)

    def acceptable(self, objects: Sequence[str]) -> list[str]:
        """Return the objects that meet all bounds, in their order."""
        return [o for o, s in zip(objects, self.shortfall(objects).tolist(), strict=True) if s == 0]

    def __call__(self, objects: Sequence[str]) -> Tensor:
        """Return log-rewards, n, or n x objectives; float32."""
        log_reward = (-self._beta * self.shortfall(objects)).float()
        return log_reward if self._n_objectives == 1 else log_reward[:, None].expand(-1, self._n_objectives).clone()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_shortfalls": {}}  # the cache does not travel to other processes
