"""Replay of the best objects drawn so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from al_loop.gflownet.rollout import Trajectories


class Replay:
    """Keeps the distinct objects of highest reward, with the last trajectory that made each.

    Half of what it returns comes from its best tenth and half from the rest, as is usual in GFlowNet work on
    expensive rewards (e.g. Kim et al. 2024, "Local search GFlowNets").
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: a replay keeps at least one object, not {capacity}")
        self.capacity = capacity
        self._rows: dict[str, tuple[Trajectories, float]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def objects(self) -> list[str]:
        """The objects, best first."""
        return list(self._rows)

    def add(self, objects: Sequence[str], trajectories: Trajectories, log_reward: Tensor) -> None:
        """Takes in new objects, and forgets the worst beyond the capacity."""
        for row, (name, value) in enumerate(zip(objects, log_reward.tolist(), strict=True)):
            self._rows[name] = (trajectories.pick([row]), value)
        self._sort()

    def rescore(self, log_reward: Callable[[Sequence[str]], Tensor]) -> None:
        """Gives every object the value of a new reward."""
        if self._rows:
            values = log_reward(self.objects).tolist()
            self._rows = {o: (t, v) for (o, (t, _)), v in zip(self._rows.items(), values, strict=True)}
            self._sort()

    def sample(self, n: int, generator: torch.Generator) -> tuple[list[str], Trajectories, Tensor]:
        """N objects (with repeats where there are fewer) with their trajectories and log-rewards."""
        rows = list(self._rows.items())
        n_top = max(len(rows) // 10, 1)
        n_best = (n + 1) // 2
        top = torch.randint(n_top, (n_best,), generator=generator)
        rest = torch.randint(min(n_top, len(rows) - 1), len(rows), (n - n_best,), generator=generator)
        picked = [rows[i] for i in torch.cat([top, rest]).tolist()]
        trajectories = Trajectories.join([t for _, (t, _) in picked])
        return [o for o, _ in picked], trajectories, torch.tensor([v for _, (_, v) in picked])

    def _sort(self) -> None:
        best = sorted(self._rows.items(), key=lambda item: (-item[1][1], item[0]))
        self._rows = dict(best[: self.capacity])

    def state_dict(self) -> list[Any]:
        """Plain data that ``load_state_dict`` takes."""
        return [(o, t.states, t.actions, v) for o, (t, v) in self._rows.items()]

    def load_state_dict(self, rows: list[Any]) -> None:
        """Restores what ``state_dict`` gave."""
        self._rows = {o: (Trajectories(states, actions), v) for o, states, actions, v in rows}
