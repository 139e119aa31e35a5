"""The interface of all searches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.back_and_forth import Move
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.system.checks import whole_number


@dataclass(frozen=True)
class Parents:
    """The objects from which a search starts.

    Args:
        states: terminal states, shape n x state_size.
        uncertainty: uncertainty of the model behind the reward, shape n, in units of the typical spread of its
            predictions; None: unknown.
    """

    states: Tensor
    uncertainty: Tensor | None = None


@dataclass(frozen=True)
class SearchContext:
    """The space of a search, and the policy in training.

    Args:
        environment: the space.
        policy: the policy in training; None: uniform.
        backward: the backward policy.
        policy_context: inputs of the policy for each parent.
    """

    environment: Environment
    policy: Policy | None
    backward: Backward = "learned"
    policy_context: Context | None = None


class Search(ABC):
    """A method of generating a child of each parent, which may replace it in the next round (see ``move``).

    Args:
        size: parents per training step, at least 1.
        rounds: successive children of each parent, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """

    #: the source of the parents: the replay, or the objects that the oracle measured
    source: ClassVar[Literal["replay", "measured"]] = "replay"

    def __init__(self, size: int = 16, rounds: int = 1) -> None:
        whole_number("size", size, 1)
        whole_number("rounds", rounds, 1)
        self.size, self.rounds = size, rounds

    @abstractmethod
    def propose(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Trajectories:
        """Return trajectories of the children, one for each parent, in the parents' order.

        Args:
            search: the space and the policy.
            parents: n objects.
            generator: source of all randomness, on the device of the parents.
        """

    def move(self, search: SearchContext, parents: Parents, generator: torch.Generator) -> Move:
        """Return the children as moves: a better child replaces its parent, unless there is a log-ratio.

        Args:
            search: the space and the policy.
            parents: n objects.
            generator: source of all randomness, on the device of the parents.

        Returns:
            Moves. With a log-ratio, Metropolis-Hastings decides which of them are accepted.
        """
        return Move(self.propose(search, parents, generator))
