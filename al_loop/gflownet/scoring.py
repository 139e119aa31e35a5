"""Scores of terminal states: the objects that they represent, each decoded once, and their log-rewards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.reward import AnyReward, StateReward, as_log_reward
from al_loop.gflownet.sources import keys_of_states

#: objects whose names are remembered
_CAPACITY = 1_000_000


class Scores(NamedTuple):
    """Log-rewards of n terminal states.

    Args:
        log_reward: shape n or n x objectives.
        objects: the n objects; None if the reward is a function of states.
    """

    log_reward: Tensor
    objects: list[str] | None


class PendingScores(Protocol):
    """Scores that may still be computed, by other processes."""

    def result(self) -> Scores:
        """Wait for the scores and return them."""


class Finished(NamedTuple):
    """Scores that are there."""

    scores: Scores

    def result(self) -> Scores:
        """Return the scores."""
        return self.scores


class Decoder:
    """Decodes states; several states of one object, which the environment identifies, are decoded once.

    Args:
        environment: the space.
        capacity: objects whose names are remembered.
    """

    def __init__(self, environment: Environment, capacity: int = _CAPACITY) -> None:
        self._environment, self._capacity = environment, capacity
        self._names: dict[object, str] = {}

    def __call__(self, states: Tensor) -> list[str]:
        """Return the objects of terminal states.

        Raises:
            ValueError: the environment returns another number of objects.
        """
        if self._environment.identity(states) is None:
            return decoded(self._environment, states)
        if len(self._names) > self._capacity:
            self._names.clear()
        keys = keys_of_states(self._environment, states)
        rows = {key: row for row, key in reversed(list(enumerate(keys))) if key not in self._names}
        if rows:
            order = sorted(rows.values())
            names = decoded(self._environment, states[order])
            self._names.update(zip((keys[row] for row in order), names, strict=True))
        return [self._names[key] for key in keys]


def decoded(environment: Environment, states: Tensor) -> list[str]:
    """Decode states, and check that there are as many objects.

    Args:
        environment: the space.
        states: terminal states, shape n x state_size.

    Raises:
        ValueError: there are not.
    """
    objects = environment.decode(states)
    if len(objects) != len(states):
        raise ValueError(f"decode returned {len(objects)} objects for {len(states)} states, expected one each")
    return objects


class Scorer(ABC):
    """Scores terminal states with the latest reward."""

    @property
    @abstractmethod
    def log_reward(self) -> AnyReward | None:
        """The reward; None before ``set_reward``."""

    @abstractmethod
    def set_reward(self, log_reward: AnyReward) -> None:
        """Set the reward of later scores."""

    @abstractmethod
    def begin(self, states: Tensor) -> PendingScores:
        """Begin to score terminal states.

        Args:
            states: n x state_size.
        """

    @abstractmethod
    def decode(self, states: Tensor) -> list[str]:
        """Return the objects of terminal states."""

    def close(self) -> None:  # noqa: B027  most start nothing
        """End the processes that were started."""


class InlineScorer(Scorer):
    """Scores states in this process.

    Args:
        environment: the space.
    """

    def __init__(self, environment: Environment) -> None:
        self._decoder = Decoder(environment)
        self._log_reward: AnyReward | None = None

    @property
    def log_reward(self) -> AnyReward | None:
        return self._log_reward

    def set_reward(self, log_reward: AnyReward) -> None:
        self._log_reward = log_reward

    def begin(self, states: Tensor) -> PendingScores:
        assert self._log_reward is not None, "set_reward comes first"
        if isinstance(self._log_reward, StateReward):
            return Finished(scores_of_states(self._log_reward, states))
        objects = self.decode(states)
        return Finished(Scores(as_log_reward(self._log_reward(objects), len(objects)), objects))

    def decode(self, states: Tensor) -> list[str]:
        return self._decoder(states)


def scores_of_states(log_reward: StateReward, states: Tensor) -> Scores:
    """Return the scores of states by a reward that does not require objects."""
    return Scores(as_log_reward(log_reward.function(states), len(states)), None)
