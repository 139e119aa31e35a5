"""Local search by undoing and rebuilding steps."""

from __future__ import annotations

import torch

from al_loop.gflownet.rollout import Guide, Trajectories, backward_rollout, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext


class LocalSearch(Search):
    """Undoing of the last steps of good objects, which are then rebuilt by the policy (LS-GFN, Kim et al. 2024).

    Args:
        back: share of the steps that are undone, above 0 and at most 1.
        size: parents per training step.
        rounds: number of times that each object is rebuilt.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "local_search"

    def __init__(self, back: float = 0.5, size: int = 16, rounds: int = 1) -> None:
        super().__init__(size, rounds)
        if not 0 < back <= 1:
            raise ValueError(f"back: must be above 0 and at most 1, got {back}")
        self.back = back

    def propose(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Return the first steps of a history of each parent, continued by the policy."""
        environment = search.environment
        history = backward_rollout(
            environment,
            search.policy,
            parents.states,
            generator=generator,
            backward=search.backward,
            context=search.policy_context,
        )
        length = (history.actions >= 0).sum(0)
        n_first = length - (self.back * length).ceil().long()
        time = torch.arange(len(history.actions), device=length.device)[:, None]
        guide = Guide(torch.where(time < n_first, history.actions, -1))
        return rollout(
            environment, search.policy, len(length), generator=generator, context=search.policy_context, guide=guide
        )
