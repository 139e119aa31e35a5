"""A replay buffer of objects drawn earlier."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from al_loop.gflownet.reward import AnyReward, score
from al_loop.gflownet.sources import Entries, Source
from al_loop.system.checks import one_of, whole_number

Priority = Literal["reward", "recency"]


class Replay(Source):
    """A store of distinct objects, of the highest reward or the newest. A sample gets newly drawn histories each time.

    By ``reward``, half of a sample comes from the best tenth and half from the rest, as is usual in GFlowNet work on
    expensive rewards (e.g. Kim et al. 2024, "Local search GFlowNets"); by ``recency``, all objects are equally likely.

    Args:
        capacity: largest number of objects, at least 1.
        priority: the criterion for retaining objects.

    Raises:
        ValueError: the capacity is below 1, or there is no such priority.
    """

    def __init__(self, capacity: int, priority: Priority = "reward") -> None:
        whole_number("capacity", capacity, 1)
        one_of("priority", priority, get_args(Priority))
        self.capacity, self.priority = capacity, priority
        self._entries: Entries | None = None

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries.keys)

    @property
    def objects(self) -> list[str]:
        """The objects, the best (or newest) first."""
        return [] if self._entries is None else [str(key) for key in self._entries.keys]

    @property
    def keys(self) -> Sequence[Hashable]:
        """The identity of each object, the best (or newest) first."""
        return () if self._entries is None else self._entries.keys

    @property
    def states(self) -> Tensor:
        """The objects' terminal states, in the same order; there is at least one object."""
        assert self._entries is not None, "the replay is empty"
        return self._entries.states

    def rename(self, name: Callable[[Tensor], Sequence[Hashable]], are_objects: bool) -> None:
        """Identify the objects as a reward requires; the best (or newest) of equal ones remains.

        Args:
            name: terminal states, shape k x state_size -> the identity of each.
            are_objects: whether it returns the objects themselves.
        """
        entries = self._entries
        named = None if entries is None else entries.named(name, are_objects)
        if named is not None and named is not entries:
            first = {key: row for row, key in reversed(list(enumerate(named.keys)))}
            self._entries = named.pick(torch.tensor(sorted(first.values())))

    def add(self, keys: Sequence[Hashable], states: Tensor, log_reward: Tensor) -> None:
        """Add objects, which replace earlier ones of the same key, and drop those beyond the capacity.

        Args:
            keys: the identity of each of n objects.
            states: terminal states, shape n x state_size.
            log_reward: log-rewards, shape n or n x objectives.
        """
        newest = {key: row for row, key in enumerate(keys)}
        rows = list(newest.values())
        names: list[Hashable] = list(newest)
        if len(rows) < len(keys):
            states, log_reward = states[rows], log_reward[rows]
        old = self._entries
        if old is not None:
            others = [row for row, key in enumerate(old.keys) if key not in newest]
            names += [old.keys[row] for row in others]
            states = torch.cat([states, old.states[others]])
            log_reward = torch.cat([log_reward, old.log_reward[others]])
        self._store(Entries(names, states, log_reward))

    def rescore(self, log_reward: AnyReward) -> None:
        """Replace the log-reward of every object by that of a new reward."""
        entries = self._entries
        if entries is not None:
            values = score(log_reward, entries.keys, entries.states).to(entries.log_reward)
            self._store(Entries(entries.keys, entries.states, values))

    def _store(self, entries: Entries) -> None:
        order = torch.arange(len(entries.keys))
        if self.priority == "reward":
            score = entries.log_reward if entries.log_reward.dim() == 1 else entries.log_reward.mean(1)
            order = score.argsort(descending=True, stable=True).cpu()
        order = order[: self.capacity]
        keys = [entries.keys[row] for row in order.tolist()]
        self._entries = Entries(keys, entries.states[order], entries.log_reward[order])

    def sample(self, n: int, generator: torch.Generator) -> Entries:
        """Return n objects, drawn with replacement.

        Args:
            n: number of objects.
            generator: source of all randomness, on the CPU.
        """
        assert self._entries is not None, "the replay is empty"
        k = len(self)
        if self.priority == "reward":
            n_top, n_best = max(k // 10, 1), (n + 1) // 2
            top = torch.randint(n_top, (n_best,), generator=generator)
            rest = torch.randint(min(n_top, k - 1), k, (n - n_best,), generator=generator)
            rows = torch.cat([top, rest])
        else:
            rows = torch.randint(k, (n,), generator=generator)
        return self._entries.pick(rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for ``load_state_dict``, as plain data."""
        return {} if self._entries is None else dict(vars(self._entries))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state_dict``."""
        self._entries = Entries(**state) if state else None
