"""Replay of objects met so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Priority = Literal["reward", "recency"]


@dataclass(frozen=True)
class Entries:
    """Objects with their rewards: k keys, terminal states (k x state_size), log-rewards (k, or k x objectives)."""

    keys: list[Hashable]
    states: Tensor
    log_reward: Tensor


class Replay:
    """Keeps distinct objects: those of highest reward, or the newest ones. Their histories are drawn anew each time.

    By reward, half of what it returns comes from its best tenth and half from the rest, as is usual in GFlowNet work
    on expensive rewards (e.g. Kim et al. 2024, "Local search GFlowNets"); by recency, all are equal.

    Args:
        capacity: objects that are kept.
        priority: which ones.
    """

    def __init__(self, capacity: int, priority: Priority = "reward") -> None:
        if capacity < 1:
            raise ValueError(f"capacity: a replay keeps at least one object, not {capacity}")
        self.capacity, self.priority = capacity, priority
        self._entries: Entries | None = None

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries.keys)

    @property
    def objects(self) -> list[str]:
        """The objects, best (or newest) first."""
        return [] if self._entries is None else [str(key) for key in self._entries.keys]

    def add(self, keys: Sequence[Hashable], states: Tensor, log_reward: Tensor) -> None:
        """Takes in objects (a key that is there is replaced), and forgets what is beyond the capacity."""
        newest = {key: row for row, key in enumerate(keys)}
        rows = list(newest.values())
        names: list[Hashable] = list(newest)
        states, log_reward = states[rows], log_reward[rows]
        old = self._entries
        if old is not None:
            kept = [row for row, key in enumerate(old.keys) if key not in newest]
            names += [old.keys[row] for row in kept]
            states, log_reward = torch.cat([states, old.states[kept]]), torch.cat([log_reward, old.log_reward[kept]])
        self._keep(Entries(names, states, log_reward))

    def rescore(self, log_reward: Callable[[Sequence[str]], Tensor]) -> None:
        """Gives every object the value of a new reward."""
        if self._entries is not None:
            values = log_reward(self.objects).to(self._entries.log_reward)
            self._keep(Entries(self._entries.keys, self._entries.states, values))

    def rescore_states(self, log_reward: Callable[[Tensor], Tensor]) -> None:
        """The same, for a reward of states."""
        if self._entries is not None:
            self._keep(Entries(self._entries.keys, self._entries.states, log_reward(self._entries.states)))

    def _keep(self, entries: Entries) -> None:
        order = torch.arange(len(entries.keys))
        if self.priority == "reward":
            score = entries.log_reward if entries.log_reward.dim() == 1 else entries.log_reward.mean(1)
            order = score.argsort(descending=True, stable=True).cpu()
        order = order[: self.capacity]
        keys = [entries.keys[row] for row in order.tolist()]
        self._entries = Entries(keys, entries.states[order], entries.log_reward[order])

    def sample(self, n: int, generator: torch.Generator) -> Entries:
        """N objects, with repeats."""
        assert self._entries is not None, "nothing is in the replay"
        k = len(self)
        if self.priority == "reward":
            n_top, n_best = max(k // 10, 1), (n + 1) // 2
            top = torch.randint(n_top, (n_best,), generator=generator)
            rest = torch.randint(min(n_top, k - 1), k, (n - n_best,), generator=generator)
            rows = torch.cat([top, rest])
        else:
            rows = torch.randint(k, (n,), generator=generator)
        entries = self._entries
        return Entries([entries.keys[row] for row in rows.tolist()], entries.states[rows], entries.log_reward[rows])

    def state_dict(self) -> dict[str, Any]:
        """Plain data that ``load_state_dict`` takes."""
        return {} if self._entries is None else dict(vars(self._entries))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what ``state_dict`` gave."""
        self._entries = Entries(**state) if state else None
