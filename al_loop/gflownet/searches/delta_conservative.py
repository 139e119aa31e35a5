"""Delta-conservative search."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from al_loop.gflownet.rollout import Guide, Trajectories, backward_rollout, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext


class DeltaConservative(Search):
    """Walks the way of a measured object again, and leaves each step to the policy with probability delta.

    Delta shrinks where the surrogate is unsure, so that its errors are not searched for (delta-CS, Kim et al. 2025:
    delta - shrink x standard deviation, at least ``least``).

    Args:
        delta: the probability where the surrogate is sure.
        shrink: how much of it one unit of uncertainty takes away.
        least: the probability is never below.
        size: parents per training step.
        rounds: children of each parent, one after the other.
    """

    kind = "delta_conservative"
    parents: ClassVar[Literal["met", "measured"]] = "measured"

    def __init__(
        self, delta: float = 0.5, shrink: float = 0.25, least: float = 0.05, size: int = 16, rounds: int = 1
    ) -> None:
        super().__init__(size, rounds)
        if not 0 <= least <= delta <= 1 or shrink < 0:
            raise ValueError(f"0 <= least <= delta <= 1 and shrink >= 0 must hold, not {least}, {delta}, {shrink}")
        self.delta, self.shrink, self.least = delta, shrink, least

    def propose(self, walker: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """A changed copy of each parent."""
        environment, n = walker.environment, len(parents.states)
        history = backward_rollout(
            environment,
            walker.policy,
            parents.states,
            generator=generator,
            backward=walker.backward,
            context=walker.context,
        )
        radius = torch.full((n,), self.delta, device=parents.states.device)
        if parents.uncertainty is not None:
            radius = (radius - self.shrink * parents.uncertainty.to(radius)).clamp(min=self.least)
        guide = Guide(history.actions, deviate=radius)
        return rollout(environment, walker.policy, n, generator=generator, context=walker.context, guide=guide)
