"""Delta-conservative search."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.rollout import Guide, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system.checks import in_range


class DeltaConservative(Search):
    """Rebuilding of a measured object, in which the policy decides each step with probability delta.

    Delta is smaller where the surrogate is uncertain, so that the search does not exploit its errors (delta-CS, Kim et
    al. 2025: delta - shrink x standard deviation, at least ``least``).

    Args:
        delta: the probability without uncertainty, from ``least`` to 1.
        shrink: reduction of the probability per unit of uncertainty, at least 0.
        least: lower bound of the probability, from 0 to ``delta``.
        size: parents per training step.
        rounds: successive children of each parent.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "delta_conservative"
    source: ClassVar[Literal["replay", "measured"]] = "measured"

    def __init__(
        self, delta: float = 0.5, shrink: float = 0.25, least: float = 0.05, size: int = 16, rounds: int = 1
    ) -> None:
        super().__init__(size, rounds)
        in_range("delta", delta, 0, 1)
        in_range("least", least, 0, delta)
        in_range("shrink", shrink, 0, below=True)
        self.delta, self.shrink, self.least = delta, shrink, least

    def propose(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Return a modified copy of each parent."""
        environment, n = search.environment, len(parents.states)
        history = backward_rollout(
            environment,
            search.policy,
            parents.states,
            generator=generator,
            backward=search.backward,
            context=search.policy_context,
        )
        radius = torch.full((n,), self.delta, device=parents.states.device)
        if parents.uncertainty is not None:
            radius = (radius - self.shrink * parents.uncertainty.to(radius)).clamp(min=self.least)
        guide = Guide(history.actions, deviate=radius)
        return rollout(
            environment,
            search.policy,
            n,
            generator=generator,
            context=search.policy_context,
            guide=guide,
            start=history.states[0],
        )
