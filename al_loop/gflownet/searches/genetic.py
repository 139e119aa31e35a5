"""Search by genetic operators."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.rollout import Guide, rollout
from al_loop.gflownet.searches.base import Parents, Search, SearchContext
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system.checks import in_range


class Genetic(Search):
    """Crossover of pairs of good objects, and mutation of their children (as in Genetic-GFN, Kim et al. 2024).

    The environment's ``crossover`` is used if it has one; otherwise a child takes the first steps of one parent and
    the later ones of the other. A mutation replaces steps by random ones.

    Args:
        mutation: share of the steps that are replaced, 0 to 1.
        size: children per training step.
        rounds: generations per training step.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "genetic"

    def __init__(self, mutation: float = 0.1, size: int = 16, rounds: int = 1) -> None:
        super().__init__(size, rounds)
        in_range("mutation", mutation, 0, 1)
        self.mutation = mutation

    def propose(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Return a child of each parent and a random other one."""
        environment, n = search.environment, len(parents.states)
        device = parents.states.device
        other = parents.states[torch.randperm(n, generator=generator, device=device)]
        children = crossover(environment, parents.states, other, generator)
        history = backward_rollout(environment, None, children, generator=generator)
        guide = Guide(history.actions, deviate=torch.full((n,), self.mutation, device=device))
        return rollout(environment, None, n, generator=generator, guide=guide, start=history.states[0])


def crossover(environment: Environment, a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    """Return a child of each pair of terminal states, shape n x state_size.

    Args:
        environment: the space.
        a: first parents, shape n x state_size.
        b: second parents, shape n x state_size.
        generator: source of all randomness, on the device of the states.
    """
    crossed = environment.crossover(a, b, generator)
    if crossed is not None:
        children, is_valid = crossed
        return torch.where(is_valid[:, None], children, a)
    history = backward_rollout(environment, None, a, generator=generator)
    first = history.actions
    second = backward_rollout(environment, None, b, generator=generator).actions
    n_steps = max(len(first), len(second))
    first, second = (torch.nn.functional.pad(x, (0, 0, 0, n_steps - len(x)), value=-1) for x in (first, second))
    length = (first >= 0).sum(0)
    cut = (torch.rand(len(a), generator=generator, device=a.device) * length).long()
    time = torch.arange(n_steps, device=a.device)[:, None]
    guide = Guide(torch.where(time < cut, first, second))
    start = history.states[0]
    return rollout(environment, None, len(a), generator=generator, guide=guide, start=start).terminal
