"""Batches of trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Trajectories:
    """A batch of n trajectories, padded to the T steps of the longest.

    Args:
        states: states, shape T + 1 x n x state_size, ending in (and padded with) the terminal state.
        actions: actions, shape T x n, -1 after the end of a trajectory.
        n_steps: the number of actions in all trajectories or an upper bound, if known without waiting for a device.
    """

    states: Tensor
    actions: Tensor
    n_steps: int | None = None

    def __len__(self) -> int:
        return self.actions.shape[1]

    @property
    def most_steps(self) -> int:
        """An upper bound of the number of actions in all trajectories, without waiting for a device."""
        return self.actions.numel() if self.n_steps is None else self.n_steps

    @property
    def terminal(self) -> Tensor:
        """The terminal states, shape n x state_size."""
        return self.states[-1]

    def pick(self, rows: Sequence[int] | Tensor) -> Trajectories:
        """Return the trajectories at these indices."""
        rows = torch.as_tensor(rows, dtype=torch.int64, device=self.actions.device)
        return Trajectories(self.states[:, rows], self.actions[:, rows])

    def to(self, device: torch.device | str) -> Trajectories:
        """Return the same trajectories on another device."""
        return Trajectories(self.states.to(device), self.actions.to(device), self.n_steps)

    @staticmethod
    def join(parts: Sequence[Trajectories]) -> Trajectories:
        """Concatenate batches, padded to one length."""
        if len(parts) == 1:
            return parts[0]
        steps = max(p.actions.shape[0] for p in parts)
        states, actions = [], []
        for part in parts:
            missing = steps - part.actions.shape[0]
            states.append(torch.cat([part.states, part.states[-1:].expand(missing, -1, -1)]))
            actions.append(torch.nn.functional.pad(part.actions, (0, 0, 0, missing), value=-1))
        return Trajectories(torch.cat(states, 1), torch.cat(actions, 1), sum(p.most_steps for p in parts))
