"""All that a learner trains on besides fresh draws: its replay, measured objects, and sources that users add."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.errors import counted
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.reward import AnyReward, StateReward, score
from al_loop.gflownet.sampler import Draw, SearchJob
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.sources import Entries, Source, keys_of_states
from al_loop.system.checks import whole_number

_MEASURED_CAPACITY = 1_000_000
_AT_ONCE = 50  # encoded together; where one of them is not in the space, they are encoded again


class LearnerSources:
    """The sources of a learner, with the number of their objects in each step.

    Args:
        environment: the space.
        training: the settings.
        device: where the objects' states are.
    """

    def __init__(self, environment: Environment, training: TrainingSettings, device: torch.device) -> None:
        self._environment, self._training, self._device = environment, training, device
        self.replay = Replay(training.replay_capacity, training.replay_priority)
        #: objects that the oracle measured
        self.measured = Replay(_MEASURED_CAPACITY)
        self._added: list[tuple[Source, int]] = []
        self._log_reward: AnyReward | None = None
        self._places: dict[str, int | None] = {}  # rows of the states; None outside the space
        self._states = environment.initial(0)

    @property
    def sizes(self) -> list[tuple[Source, int]]:
        """All sources, with the number of their objects in each step."""
        training = self._training
        return [(self.replay, training.replay_size), (self.measured, training.measured_size), *self._added]

    def add_source(self, source: Source, size: int) -> None:
        """Add a source.

        Args:
            source: the source.
            size: number of its objects in each step.

        Raises:
            ValueError: the number is negative, an object of the source is not in the space, or its log-reward is NaN or
                +inf.
        """
        whole_number("size", size, 0)
        source.check(self._environment, self._training.conditioning.objectives)
        if self._log_reward is not None:
            self._rescore(source, self._log_reward)
        self._added.append((source, size))

    def rescore(self, log_reward: AnyReward) -> None:
        """Replace the log-reward of every object by that of a new reward."""
        self._log_reward = log_reward
        for source, _ in self.sizes:
            self._rescore(source, log_reward)

    def _rescore(self, source: Source, log_reward: AnyReward) -> None:
        """Score the objects of a source, which the last reward may have identified in another way."""
        are_objects = not isinstance(log_reward, StateReward)
        source.rename(self._environment.decode if are_objects else self._keys, are_objects)
        source.rescore(log_reward)

    @property
    def best_objects(self) -> list[str]:
        """The objects in the replay, the best (or newest) first."""
        replay = self.replay
        if all(isinstance(key, str) for key in replay.keys):
            return replay.objects
        return self._environment.decode(replay.states)

    def _keys(self, states: Tensor) -> list[Hashable]:
        return keys_of_states(self._environment, states)

    def remember(self, objects: Sequence[str], log_reward: AnyReward) -> int:
        """Add measured objects, and return the number of those that are in the space.

        Args:
            objects: the objects; those outside the space are skipped.
            log_reward: their reward.
        """
        return self._add(self.measured, objects, log_reward)

    def start_from(self, objects: Sequence[str], log_reward: AnyReward) -> None:
        """Add objects to the replay; those outside the space are skipped.

        Args:
            objects: the objects.
            log_reward: their reward.
        """
        self._add(self.replay, objects, log_reward)

    def _add(self, replay: Replay, objects: Sequence[str], log_reward: AnyReward) -> int:
        """Add the objects that are in the space to a replay, and return their number."""
        self._encode([name for name in dict.fromkeys(objects) if name not in self._places])
        names = [name for name in objects if self._places[name] is not None]
        if names:
            states = self._states[torch.tensor([self._places[name] for name in names])]
            rows = states.to(self._device, self._environment.initial(0).dtype)
            keys = self._keys(rows) if isinstance(log_reward, StateReward) else list(names)
            replay.add(keys, rows, score(log_reward, keys, rows))
        return len(names)

    def _encode(self, new: Sequence[str]) -> None:
        """Keep the states of objects; each round asks for all measured ones again."""
        if not new:
            return
        states, inside = self._encoded(new)
        first = len(self._states)
        self._places |= dict.fromkeys(new) | dict(zip(inside, range(first, first + len(inside)), strict=True))
        self._states = torch.cat([self._states, _compact(states)]) if first else _compact(states)

    def _encoded(self, names: Sequence[str]) -> tuple[Tensor, list[str]]:
        """Return the states of the objects that are in the space, and these objects."""
        states, inside = [self._environment.initial(0)], []
        for first in range(0, len(names), _AT_ONCE):
            part = list(names[first : first + _AT_ONCE])
            try:
                states.append(self._environment.encode(part))
                inside += part
            except ValueError:  # one of them is not in the space
                for name in part:
                    with suppress(ValueError):
                        states.append(self._environment.encode([name]))
                        inside.append(name)
        return torch.cat(states), inside

    def add_draw(self, draw: Draw) -> None:
        """Add the objects of a draw to the replay, unless nothing uses it, and offer them to the added sources."""
        training = self._training
        draw = draw.to(self._device)
        uses_replay = training.replay_size or any(search.source == "replay" for search in training.searches)
        sources: list[Source] = [*([self.replay] if uses_replay else []), *(source for source, _ in self._added)]
        if not sources:
            return
        states = draw.trajectories.terminal
        keys = self._keys(states) if draw.objects is None else draw.keys
        for source in sources:
            source.add(keys, states, draw.log_reward)

    def jobs(self, seed: int) -> list[SearchJob]:
        """Return the searches of the next step, with the objects around which to run them."""
        generator = torch.Generator().manual_seed(seed)
        jobs = []
        for search in self._training.searches:
            source = self.measured if search.source == "measured" else self.replay
            if len(source):
                jobs.append(SearchJob(search, self._current(source.sample(search.size, generator))))
        return jobs

    def _current(self, entries: Entries) -> Entries:
        """Return entries with their present log-rewards, which a search compares with those of new objects."""
        reward = self._log_reward
        if not isinstance(reward, StateReward) or not reward.is_live:
            return entries
        return replace(entries, log_reward=score(reward, entries.keys, entries.states))

    def state_dict(self) -> dict[str, Any]:
        """Return the state for ``load_state_dict``, as plain data."""
        return {
            "replay": self.replay.state_dict(),
            "measured": self.measured.state_dict(),
            "sources": [source.state_dict() for source, _ in self._added],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by ``state_dict``.

        Raises:
            ValueError: another number of sources was added.
        """
        saved_sources = state.get("sources", ())
        if len(saved_sources) != len(self._added):
            raise ValueError(
                f"state: it was saved with {counted(len(saved_sources), 'added source')}, and this learner has "
                f"{len(self._added)}; add the same sources in the same order before loading it"
            )
        self.replay.load_state_dict(state["replay"])
        self.measured.load_state_dict(state["measured"])
        for (source, _), saved in zip(self._added, saved_sources, strict=True):
            source.load_state_dict(saved)


def _compact(states: Tensor) -> Tensor:
    """Return states in the smallest type of whole numbers that holds them."""
    for dtype in (torch.int16, torch.int32):
        if states.dtype == torch.int64 and torch.equal((smaller := states.to(dtype)).long(), states):
            return smaller
    return states
