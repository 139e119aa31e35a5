"""What an environment is: whole batches of states in tensors on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

ObjectType = Literal["molecule", "sequence", "other"]


class Environment(ABC):
    """A space of objects, each built from an initial state by actions; it knows nothing of rewards.

    States are ``n x state_size`` int64 tensors. Action ``n_actions - 1`` is *stop*: it ends the object. A trajectory
    is over when ``is_terminal`` says so. Every method takes whole batches, loops over no object and leaves its
    arguments as they are.
    """

    #: what ``decode`` returns: it picks default features and shows what may be combined
    object_type: ClassVar[ObjectType] = "other"
    n_actions: int
    #: how many choices a backward policy has in a state
    n_backward_actions: int
    state_size: int
    #: actions in the longest trajectory, stop included
    max_steps: int
    #: how many numbers ``features`` gives for a state
    n_features: int

    @abstractmethod
    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """N initial states: n x state_size."""

    @abstractmethod
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """The states after the actions (n): n x state_size. The actions must be allowed."""

    @abstractmethod
    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """The states before, by backward actions (n): n x state_size."""

    @abstractmethod
    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """The backward action (n) that undoes ``actions`` taken in ``states``.

        It is a column of ``backward_mask`` at ``step(states, actions)``.
        """

    @abstractmethod
    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """The action (n) that leads from ``backward_step(states, backward_actions)`` back to ``states``.

        Where an object has several states, the state that it leads to may be another one of the same object.
        """

    @abstractmethod
    def forward_mask(self, states: Tensor) -> Tensor:
        """Which actions are allowed: n x n_actions, bool. No action is allowed in a terminal state."""

    @abstractmethod
    def backward_mask(self, states: Tensor) -> Tensor:
        """Which backward actions are allowed: n x n_backward_actions, bool. None is in an initial state."""

    @abstractmethod
    def is_terminal(self, states: Tensor) -> Tensor:
        """Whether each object is finished: n, bool."""

    @abstractmethod
    def features(self, states: Tensor) -> Tensor:
        """What a policy network sees of the states: n x n_features, float."""

    def feature_index(self, states: Tensor) -> Tensor | None:
        """Where ``features`` are 1, if all others are 0: n x k. None: they are no such features."""
        return None

    @abstractmethod
    def decode(self, states: Tensor) -> list[str]:
        """The canonical objects (SMILES, sequences) of terminal states."""

    @abstractmethod
    def encode(self, objects: Sequence[str]) -> Tensor:
        """Terminal states of objects: n x state_size.

        Raises:
            ValueError: an object is not in this space.
        """

    def retrace(self, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
        """The forward trajectories that backward walks undo.

        Args:
            states: terminal states, n x state_size.
            backward_actions: T x n, from the terminal states down to the initial state, -1 where a walk is over.

        Returns:
            States (T + 1 x n x state_size, from the initial state on, padded with the last) and actions (T x n, -1
            where a trajectory is over).
        """
        n_steps, n = backward_actions.shape
        walked, undone = [states], []
        for choice in backward_actions:
            is_step = choice >= 0
            choice = choice.clamp(min=0)
            undone.append(torch.where(is_step, self.forward_action(walked[-1], choice), -1))
            walked.append(torch.where(is_step[:, None], self.backward_step(walked[-1], choice), walked[-1]))
        length = (backward_actions >= 0).sum(0)
        time = torch.arange(n_steps + 1, device=states.device)[:, None]
        column = torch.arange(n, device=states.device)
        forward = torch.stack(walked)[(length - time).clamp(min=0), column]
        is_step = time[:-1] < length
        return forward, torch.where(is_step, torch.stack(undone)[(length - 1 - time[:-1]).clamp(min=0), column], -1)

    def log_paths(self, states: Tensor) -> Tensor:
        """Logarithm of the number of ways to build each state from the initial one: n, double precision.

        The backward policy of maximum entropy (Mohammadpour et al. 2024) takes a state's last step in proportion to
        it. Where an object has several states, it counts the orders of building.
        """
        raise ValueError(
            f"{type(self).__name__} does not count the ways to build a state: take backward: learned or uniform"
        )

    def crossover(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """A child of each pair of terminal states, and whether one could be made; None: the steps are crossed instead.

        Args:
            a: n x state_size.
            b: n x state_size.
            generator: all randomness.

        Returns:
            Terminal states (n x state_size) and n booleans.
        """
        return None

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """Logarithm of how often states stand for the same (finished or partial) object: n, 0 where each has one state.

        Where one object has several states, a sampler trained on R(object) would draw it that many times too often;
        training on ``log R - log_multiplicity`` makes the objects, not the states, proportional to R.
        """
        return torch.zeros(states.shape[0], device=states.device)
