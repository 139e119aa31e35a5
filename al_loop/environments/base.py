"""The interface of all environments: whole batches of states in tensors on one device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from al_loop.datafiles.object_columns import ObjectType
from al_loop.features.molecules.graphs import MolecularGraphs

__all__ = ["Environment", "ObjectType"]


class Environment(ABC):
    """A space of objects, each built from an initial state by a sequence of actions; independent of any reward.

    States are ``n x state_size`` int64 tensors. Where an object may be finished early, action ``n_actions - 1`` is
    *stop*. A trajectory is over when ``is_terminal`` returns True. Every method works on whole batches, without a loop
    over objects, and leaves its arguments unchanged.

    For example, two sets are built by one action each, and taken apart again:

    >>> from al_loop.environments.set import Sets
    >>> environment = Sets(["a", "b", "c"], size=2, min_size=1)
    >>> states = environment.initial(2)  # whether a, b and c are in the set, and whether it was stopped
    >>> environment.forward_mask(states).tolist()[0]  # any item may be added; an empty set may not be stopped
    [True, True, True, False]
    >>> actions = torch.tensor([0, 2])
    >>> after = environment.step(states, actions)
    >>> after.tolist()
    [[1, 0, 0, 0], [0, 0, 1, 0]]
    >>> undo = environment.backward_action(states, actions)  # a column of backward_mask(after)
    >>> environment.backward_step(after, undo).equal(states)
    True
    >>> environment.forward_action(after, undo).tolist()  # the actions that lead back to `after`
    [0, 2]
    >>> environment.decode(environment.step(after, torch.tensor([1, 3])))
    ['a,b', 'c']
    """

    #: where listed objects come from, if that is not obvious, such as a column with an uncommon name
    source: str = ""
    #: name in a config; not required of an environment named by ``target:``
    kind: ClassVar[str] = ""
    #: type of the objects that ``decode`` returns; selects the default features
    object_type: ClassVar[ObjectType] = "other"
    #: kind of the default policy network
    default_policy: ClassVar[str] = "mlp"
    #: kind of the untrained policy that draws random objects; empty: every action is equally likely
    random_policy: ClassVar[str] = ""
    #: successive trajectories of one condition in training, where conditions are drawn at random
    trajectories_per_condition: ClassVar[int] = 1

    n_actions: int
    #: number of backward actions, the choices for undoing a step
    n_backward_actions: int
    state_size: int
    #: number of actions in the longest trajectory, stop included
    max_steps: int
    #: length of the vector that ``features`` returns for a state
    n_features: int
    #: whether action ``n_actions - 1`` finishes an object early
    has_stop: bool = True
    #: number of leading columns of a state that contain a condition, which no action changes
    condition_size: int = 0
    #: number of conditions; None: unknown, or there are none
    n_conditions: int | None = None
    #: whether a step reads numbers back from the device, so that it can be neither compiled nor recorded
    reads_from_device: bool = False

    #: all objects, if the space is a finite list; a campaign then scores each of them instead of training a sampler
    objects: Sequence[str] | None = None
    #: letters of the objects, if these are words
    alphabet: Sequence[str] | None = None
    #: number of letters in the longest word, if the objects are words
    length: int | None = None
    #: order in which letters are added, if there is a choice
    order: str = ""

    @property
    def name(self) -> str:
        """The kind, or the name of the class if it has none."""
        return self.kind or type(self).__name__

    @abstractmethod
    def initial(self, n: int, device: torch.device | str = "cpu") -> Tensor:
        """Return n initial states.

        Args:
            n: number of states.
            device: the device of the states.

        Returns:
            States, shape n x state_size.
        """

    def sample_starts(self, n: int, repeats: int, generator: torch.Generator) -> Tensor:
        """Return n initial states to train from, shape n x state_size: those of random conditions, if there are any.

        Args:
            n: number of states.
            repeats: number of successive states of one condition.
            generator: source of all randomness; the states are on its device.
        """
        return self.initial(n, generator.device)

    @abstractmethod
    def step(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return the states after one action each.

        Args:
            states: states, shape n x state_size, none of them terminal.
            actions: actions allowed by ``forward_mask``, shape n.

        Returns:
            States, shape n x state_size.
        """

    @abstractmethod
    def backward_step(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the states before one of the possible last actions.

        Args:
            states: states, shape n x state_size, none of them initial.
            backward_actions: backward actions allowed by ``backward_mask``, shape n.

        Returns:
            States, shape n x state_size.
        """

    @abstractmethod
    def backward_action(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return the backward actions that undo actions.

        Args:
            states: the states in which the actions are taken, shape n x state_size.
            actions: actions, shape n.

        Returns:
            Columns of ``backward_mask`` at ``step(states, actions)``, shape n.
        """

    @abstractmethod
    def forward_action(self, states: Tensor, backward_actions: Tensor) -> Tensor:
        """Return the actions that lead from ``backward_step(states, backward_actions)`` back to ``states``.

        If an object has several states, the action may lead to another state of the same object.

        Args:
            states: the states from which the backward step is taken, shape n x state_size.
            backward_actions: backward actions, shape n.

        Returns:
            Actions, shape n.
        """

    @abstractmethod
    def forward_mask(self, states: Tensor) -> Tensor:
        """Return a bool mask of the allowed actions, shape n x n_actions, with none in a terminal state."""

    @abstractmethod
    def backward_mask(self, states: Tensor) -> Tensor:
        """Return a bool mask of the allowed backward actions, n x n_backward_actions, with none in an initial state."""

    @abstractmethod
    def is_terminal(self, states: Tensor) -> Tensor:
        """Return a bool mask of the finished objects, shape n."""

    @abstractmethod
    def features(self, states: Tensor) -> Tensor:
        """Return the float input of a policy network, shape n x n_features."""

    def feature_offsets(self, device: torch.device) -> Tensor | None:
        """Return k offsets, if ``features`` is 1 at ``states[:, :k] + offsets`` and 0 elsewhere; otherwise None."""
        return None

    def feature_index(self, states: Tensor) -> Tensor | None:
        """Return the k indices at which ``features`` is 1, shape n x k, if all other features are 0; otherwise None."""
        offsets = self.feature_offsets(states.device)
        return None if offsets is None else states[:, : len(offsets)] + offsets

    @abstractmethod
    def decode(self, states: Tensor) -> list[str]:
        """Return the canonical objects (SMILES, sequences) of terminal states."""

    def is_valid(self, name: str) -> bool:
        """Return whether an object that ``decode`` returned is one, and not what a model failed to write."""
        return True

    def admits(self, objects: Sequence[str]) -> list[bool]:
        """Return whether each object has what every object of the space must have, such as a scaffold.

        An object that this admits need not be one that actions build: other sources than the environment, such as an
        evolution or a library, may propose it. The default admits all.

        Args:
            objects: objects from any source, in the notation of the environment.
        """
        return [True] * len(objects)

    @abstractmethod
    def encode(self, objects: Sequence[str]) -> Tensor:
        """Return terminal states of objects, shape n x state_size.

        Raises:
            ValueError: an object is not in this space; the message gives the reason.
        """

    def retrace(self, states: Tensor, backward_actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the forward trajectories that backward walks undo.

        Args:
            states: terminal states, shape n x state_size.
            backward_actions: backward actions from the terminal states to the initial state, shape T x n, -1 after the
                end of a walk.

        Returns:
            States from the initial state on, shape T + 1 x n x state_size, padded with the last, and actions, shape
            T x n, -1 after the end of a trajectory.
        """
        n_steps, n = backward_actions.shape
        walk, actions = [states], []
        for choice in backward_actions:
            is_step = choice >= 0
            choice = choice.clamp(min=0)
            actions.append(torch.where(is_step, self.forward_action(walk[-1], choice), -1))
            walk.append(torch.where(is_step[:, None], self.backward_step(walk[-1], choice), walk[-1]))
        length = (backward_actions >= 0).sum(0)
        time = torch.arange(n_steps + 1, device=states.device)[:, None]
        column = torch.arange(n, device=states.device)
        forward = torch.stack(walk)[(length - time).clamp(min=0), column]
        is_step = time[:-1] < length
        return forward, torch.where(is_step, torch.stack(actions)[(length - 1 - time[:-1]).clamp(min=0), column], -1)

    def histories(self, states: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return what ``retrace`` returns of the only history of each terminal state; None: it has to be walked back.

        Args:
            states: terminal states, shape n x state_size.
        """
        return None

    def log_paths(self, states: Tensor) -> Tensor:
        """Return the log of the number of ways to build each state from the initial one, shape n, double precision.

        The backward policy of maximum entropy (Mohammadpour et al. 2024) chooses a state's parent in proportion to this
        number. If an object has several states, this is the number of orders in which the object can be built.

        Raises:
            ValueError: the environment cannot count the ways.
        """
        raise ValueError(
            f"the environment {self.name} does not implement log_paths, which backward: maximum_entropy requires; "
            "use backward: learned or uniform"
        )

    def crossover(self, a: Tensor, b: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor] | None:
        """Return a child of each pair of terminal states, or None if the environment does not implement crossover.

        In the latter case, a search crosses the steps of the parents instead.

        Args:
            a: first parents, shape n x state_size.
            b: second parents, shape n x state_size.
            generator: source of all randomness.

        Returns:
            Terminal states, shape n x state_size, and a bool mask of the pairs for which a child was found, shape n.
        """
        return None

    def log_multiplicity(self, states: Tensor) -> Tensor:
        """Return the log of the number of states that represent the same (finished or partial) object, shape n.

        If an object has several states, a sampler trained on R(object) would draw it that many times too often;
        training on ``log R - log_multiplicity`` makes the objects, not the states, proportional to R. The default is 0:
        each object has one state.
        """
        return torch.zeros(states.shape[0], device=states.device)

    def identity(self, states: Tensor) -> Tensor | None:
        """Return a 64-bit number for each object, shape n, equal for two states exactly if they are the same object.

        None (the default) if there is no such number; then each state counts as an object of its own.
        """
        return None

    def graphs(self, states: Tensor) -> MolecularGraphs | None:
        """Return the molecular graphs of states, on their device; None (the default) if states are no graphs."""
        return None

    def vocabulary(self) -> list[Any]:
        """Return JSON values that define the meaning of the actions.

        Environments with equal vocabularies can share the weights of a policy. The default is the letters and their
        order, or the number of actions if there is no alphabet.
        """
        return [self.n_actions] if self.alphabet is None else [*self.alphabet, self.order]

    def letters(self) -> str | list[str] | None:
        """Return the letters of sequences, from the alphabet or the list of all objects; None if they are unknown."""
        if self.object_type != "sequence":
            return None
        if self.alphabet is None and self.objects is not None:
            return sorted(set("".join(self.objects)))
        return self.alphabet if self.alphabet is None or isinstance(self.alphabet, str) else list(self.alphabet)

    def lengths(self) -> tuple[int, int] | None:
        """Return the numbers of letters of the shortest and the longest sequence; None if they are unknown."""
        if self.object_type != "sequence":
            return None
        if self.objects is not None:
            return min(map(len, self.objects)), max(map(len, self.objects))
        return None if self.length is None else (getattr(self, "min_length", self.length), self.length)

    def details(self, objects: Sequence[str]) -> list[Mapping[str, Any] | None]:
        """Return what is known about objects beside their structure, such as ids and prices; None for nothing."""
        return [None] * len(objects)

    def about(self) -> list[str]:
        """Return what the space holds and what it cannot make, in sentences for users; empty if that is obvious."""
        return []

    def describe(self) -> str:
        """Return a short description for messages, such as ``sequence (4 letters)``."""
        return self.name if self.alphabet is None else f"{self.name} ({len(self.alphabet)} letters)"
