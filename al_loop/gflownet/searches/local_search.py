"""Local search by undoing and rebuilding steps."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from al_loop.gflownet.back_and_forth import Move, back_and_forth, rebuild, share_of_steps
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system.checks import in_range, one_of

Acceptance = Literal["better", "metropolis_hastings"]


class LocalSearch(Search):
    """Undoing of the last steps of good objects, which are then rebuilt by the policy (LS-GFN, Kim et al. 2024).

    Args:
        back: share of the steps that are undone, above 0 and at most 1.
        size: parents per training step.
        rounds: number of times that each object is rebuilt.
        accept: the children that replace their parents in the next round: the ``better`` ones, or those that
            ``metropolis_hastings`` accepts. The latter leaves the distribution in proportion to the reward unchanged.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "local_search"

    def __init__(self, back: float = 0.5, size: int = 16, rounds: int = 1, accept: Acceptance = "better") -> None:
        super().__init__(size, rounds)
        in_range("back", back, 0, 1, above=True)
        one_of("accept", accept, get_args(Acceptance))
        self.back, self.accept = back, accept

    def propose(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Return the first steps of a history of each parent, continued by the policy."""
        history = backward_rollout(
            search.environment,
            search.policy,
            parents.states,
            generator=generator,
            backward=search.backward,
            context=search.policy_context,
        )
        undone = share_of_steps(self.back)
        return rebuild(
            search.environment, search.policy, history, undone, generator=generator, context=search.policy_context
        )

    def move(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Move:
        """Return the children, with the log-ratios of the moves if Metropolis-Hastings decides."""
        if self.accept == "better":
            return super().move(search, parents, generator)
        if search.policy is None:
            raise ValueError(
                "accept: metropolis_hastings compares the log-probabilities of a policy, and there is none; use better"
            )
        return back_and_forth(
            search.environment,
            search.policy,
            parents.states,
            share_of_steps(self.back),
            generator=generator,
            backward=search.backward,
            context=search.policy_context,
        )
