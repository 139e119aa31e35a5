"""Local search by going back and forth."""

from __future__ import annotations

import torch

from al_loop.gflownet.rollout import Guide, Trajectories, backward_rollout, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext


class LocalSearch(Search):
    """Undoes the last steps of good objects and builds them anew (LS-GFN, Kim et al. 2024).

    Args:
        back: share of the steps that are undone.
        size: parents per training step.
        rounds: how often each goes back and forth.
    """

    kind = "local_search"

    def __init__(self, back: float = 0.5, size: int = 16, rounds: int = 1) -> None:
        super().__init__(size, rounds)
        if not 0 < back <= 1:
            raise ValueError(f"back: a share between 0 and 1, not {back}")
        self.back = back

    def propose(self, walker: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """The kept steps of a history of each parent, and new ones from there."""
        environment = walker.environment
        history = backward_rollout(
            environment,
            walker.policy,
            parents.states,
            generator=generator,
            backward=walker.backward,
            context=walker.context,
        )
        length = (history.actions >= 0).sum(0)
        kept = length - (self.back * length).ceil().long()
        time = torch.arange(len(history.actions), device=length.device)[:, None]
        guide = Guide(torch.where(time < kept, history.actions, -1))
        return rollout(
            environment, walker.policy, len(length), generator=generator, context=walker.context, guide=guide
        )
