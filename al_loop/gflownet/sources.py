"""Sources of objects to train on besides fresh draws; their histories are drawn anew each time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.reward import AnyReward, check_not_too_high, score
from al_loop.gflownet.state_checks import check_terminal_states
from al_loop.system.checks import in_range, whole_number

#: distance of one state from k others: (state_size), (k x state_size) -> k
Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Entries:
    """Objects of a source.

    Args:
        keys: the identity of each of k objects: the object itself, the number of its identity, or its state.
        states: terminal states, shape k x state_size.
        log_reward: log-rewards, shape k or k x objectives.
    """

    keys: list[Hashable]
    states: Tensor
    log_reward: Tensor

    def named(self, name: Callable[[Tensor], Sequence[Hashable]], are_objects: bool) -> Entries:
        """Return the entries, identified by a function of states unless all are objects, or none is, as it returns."""
        if all(isinstance(key, str) == are_objects for key in self.keys):
            return self
        return Entries(list(name(self.states)), self.states, self.log_reward)

    def pick(self, rows: Tensor) -> Entries:
        """Return the entries at indices, which may repeat."""
        keys = [self.keys[row] for row in rows.tolist()]
        return Entries(keys, self.states[rows], self.log_reward[rows])


def keys_of_states(environment: Environment, states: Tensor) -> list[Hashable]:
    """Return the identity of each state's object, or the state itself where the environment gives no identity.

    Args:
        environment: the space.
        states: terminal states, shape n x state_size.
    """
    identity = environment.identity(states)
    return [tuple(row) for row in states.tolist()] if identity is None else list(identity.tolist())


class Source(ABC):
    """A collection of terminal states with their log-rewards."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of objects."""

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator) -> Entries:
        """Return n objects, drawn with replacement.

        Args:
            n: number of objects.
            generator: source of all randomness, on the CPU.
        """

    @abstractmethod
    def rescore(self, log_reward: AnyReward) -> None:
        """Replace the log-reward of every object by that of a new reward."""

    def rename(self, name: Callable[[Tensor], Sequence[Hashable]], are_objects: bool) -> None:  # noqa: B027
        """Identify the objects as a reward requires, unless they are identified so. By default, nothing is done.

        Args:
            name: terminal states, shape k x state_size -> the identity of each.
            are_objects: whether it returns the objects themselves.
        """

    def add(self, keys: Sequence[Hashable], states: Tensor, log_reward: Tensor) -> None:  # noqa: B027
        """Consider new objects, such as those of a draw. By default, none is added.

        Args:
            keys: the identity of each of n objects.
            states: terminal states, shape n x state_size.
            log_reward: log-rewards, shape n or n x objectives.
        """

    def check(self, environment: Environment, objectives: int = 1) -> None:  # noqa: B027
        """Check that a learner can train on the objects, when the source is added to it. By default, it can.

        Args:
            environment: the learner's space.
            objectives: number of log-rewards of each object.

        Raises:
            ValueError: an object is not in the space, or the source cannot store that many log-rewards.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return the state for ``load_state_dict``, as plain data; empty if there is none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Restore a state returned by ``state_dict``."""


class DataSet(Source):
    """Fixed objects, all equally likely, such as a data set whose distribution is learned.

    Args:
        states: terminal states, shape n x state_size; a state may occur several times. There is at least one.
        objects: the objects; None: a learner decodes them from the states where its reward requires them.

    Raises:
        ValueError: there is no state, or not one object for each.
    """

    def __init__(self, states: Tensor, objects: Sequence[str] | None = None) -> None:
        if states.ndim != 2 or not len(states):
            raise ValueError(f"states: expected at least one row, n x state_size, got shape {tuple(states.shape)}")
        if objects is not None and len(objects) != len(states):
            raise ValueError(f"objects: expected one for each of {len(states)} states, got {len(objects)}")
        keys: list[Hashable] = [tuple(row) for row in states.tolist()] if objects is None else list(objects)
        self._objects = objects
        self._entries = Entries(keys, states, torch.zeros(len(states), device=states.device))

    def __len__(self) -> int:
        return len(self._entries.keys)

    def sample(self, n: int, generator: torch.Generator) -> Entries:
        return self._entries.pick(torch.randint(len(self), (n,), generator=generator))

    def check(self, environment: Environment, objectives: int = 1) -> None:
        check_terminal_states(environment, self._entries.states, self._objects)

    def rename(self, name: Callable[[Tensor], Sequence[Hashable]], are_objects: bool) -> None:
        self._entries = self._entries.named(name, are_objects)

    def rescore(self, log_reward: AnyReward) -> None:
        entries = self._entries
        rewards = score(log_reward, entries.keys, entries.states)
        check_not_too_high(rewards)
        self._entries = Entries(entries.keys, entries.states, rewards)


def hamming(state: Tensor, others: Tensor) -> Tensor:
    """Return the share of columns in which a state differs from k others, shape k."""
    return (state != others).double().mean(1)


class ConditionHeaps(Source):
    """The best objects of each condition, no two of which are close (the reward buffer of Hu et al. 2024).

    Of two objects of a condition that are closer than ``distance``, measured from the worse one, the better stays: a
    new object replaces those close to it if it is better than all of them, and is dropped otherwise. Conditions are
    equally likely in a sample, and so are the objects of one. Under a live reward, what counts is an object's
    log-reward when it was added.

    Args:
        condition_size: number of leading columns of a state that contain its condition.
        capacity: largest number of objects of a condition, at least 1.
        distance: smallest distance between two objects of a condition; 0: only equal objects are too close.
        metric: distance of a state from others, without the columns of the condition.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, condition_size: int, capacity: int = 50, distance: float = 0.0, metric: Distance = hamming
    ) -> None:
        whole_number("condition_size", condition_size, 0)
        whole_number("capacity", capacity, 1)
        in_range("distance", distance, 0)
        self._size, self._capacity, self._distance, self._metric = condition_size, capacity, distance, metric
        self._heaps: dict[tuple[int, ...], Entries] = {}

    def __len__(self) -> int:
        return sum(len(heap.keys) for heap in self._heaps.values())

    def heap(self, condition: Sequence[int]) -> Entries | None:
        """Return the objects of a condition, the best first; None if there are none.

        Args:
            condition: the leading columns of its states.
        """
        return self._heaps.get(tuple(condition))

    def add(self, keys: Sequence[Hashable], states: Tensor, log_reward: Tensor) -> None:
        if log_reward.ndim != 1:
            raise ValueError(f"log_reward: expected one value for each object, got shape {tuple(log_reward.shape)}")
        check_not_too_high(log_reward)
        conditions: dict[tuple[int, ...], list[int]] = {}
        for row, condition in enumerate(states[:, : self._size].tolist()):
            conditions.setdefault(tuple(condition), []).append(row)
        for condition, indices in conditions.items():
            rows = torch.tensor(indices, device=states.device)
            new = Entries([keys[row] for row in indices], states[rows], log_reward[rows])
            old = self._heaps.get(condition)
            if old is not None:
                new = Entries(
                    old.keys + new.keys,
                    torch.cat([old.states, new.states]),
                    torch.cat([old.log_reward, new.log_reward]),
                )
            self._heaps[condition] = self._thin(new)

    def _thin(self, entries: Entries) -> Entries:
        """Return the best entries, no two of which are close; the better one of two stays."""
        order = entries.log_reward.argsort(descending=True, stable=True)
        objects = entries.states[:, self._size :]
        chosen: list[int] = []
        for row in order.tolist():
            if len(chosen) == self._capacity:
                break
            if chosen:
                gap = float(self._metric(objects[row], objects[chosen]).min())
                if gap < self._distance or gap == 0:
                    continue
            chosen.append(row)
        return entries.pick(torch.tensor(chosen, device=entries.states.device))

    def check(self, environment: Environment, objectives: int = 1) -> None:
        if objectives > 1:
            raise ValueError(
                f"objectives: heaps are ordered by one log-reward, and objects have {objectives}; use a DataSet, or "
                "the replay"
            )
        if self._size > environment.condition_size:
            raise ValueError(
                f"condition_size: {self._size} columns of a state contain its condition, but the environment "
                f"{environment.name} has {environment.condition_size}"
            )
        for heap in self._heaps.values():
            check_terminal_states(environment, heap.states)

    def sample(self, n: int, generator: torch.Generator) -> Entries:
        if not self._heaps:
            raise ValueError("there are no objects in the heaps yet, from which to draw")
        heaps = list(self._heaps.values())
        condition = torch.randint(len(heaps), (n,), generator=generator).tolist()
        share = torch.rand(n, generator=generator).tolist()
        rows = [(heaps[c], int(u * len(heaps[c].keys))) for c, u in zip(condition, share, strict=True)]
        return Entries(
            [heap.keys[row] for heap, row in rows],
            torch.stack([heap.states[row] for heap, row in rows]),
            torch.stack([heap.log_reward[row] for heap, row in rows]),
        )

    def rename(self, name: Callable[[Tensor], Sequence[Hashable]], are_objects: bool) -> None:
        self._heaps = {condition: heap.named(name, are_objects) for condition, heap in self._heaps.items()}

    def rescore(self, log_reward: AnyReward) -> None:
        for condition, heap in self._heaps.items():
            rewards = score(log_reward, heap.keys, heap.states)
            check_not_too_high(rewards)
            self._heaps[condition] = self._thin(Entries(heap.keys, heap.states, rewards))

    def state_dict(self) -> dict[str, Any]:
        return {"heaps": {condition: dict(vars(heap)) for condition, heap in self._heaps.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._heaps = {condition: Entries(**heap) for condition, heap in state.get("heaps", {}).items()}
