"""What a search is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.rollout import Backward, Trajectories


@dataclass(frozen=True)
class Parents:
    """What a search starts from.

    Args:
        states: terminal states, n x state_size.
        uncertainty: n, of the reward's model, in units of the spread of its predictions; None: it has none.
    """

    states: Tensor
    uncertainty: Tensor | None = None


@dataclass(frozen=True)
class SearchContext:
    """All that a search needs to walk: the space and the policy that is trained."""

    environment: Environment
    policy: Policy | None
    backward: Backward = "learned"
    context: Context | None = None


class Search(ABC):
    """Makes a child of each parent. The child replaces its parent in the next round where it is better.

    Args:
        size: parents per training step.
        rounds: children of each, one after the other.
    """

    #: whose children: anything that was met, or only what the oracle measured
    parents: ClassVar[Literal["met", "measured"]] = "met"

    def __init__(self, size: int = 16, rounds: int = 1) -> None:
        if size < 1 or rounds < 1:
            raise ValueError(f"size and rounds must be at least 1, not {size} and {rounds}")
        self.size, self.rounds = size, rounds

    @abstractmethod
    def propose(self, walker: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Trajectories of the children: as many as there are parents, in their order."""
