"""Log of the total flow, a parameter that is learned along with the policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.gflownet.policies.base import Context


class LogZ(nn.Module):
    """Log of the total flow: a level for each head, plus a change that depends on the conditions.

    Args:
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.
    """

    def __init__(self, n_conditions: int, heads: int) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(heads))
        self.change = (
            nn.Sequential(nn.Linear(n_conditions, 64), nn.LeakyReLU(), nn.Linear(64, 1)) if n_conditions else None
        )

    def forward(self, n: int, context: Context | None) -> Tensor:
        """Return log Z of n trajectories, shape n.

        Args:
            n: number of trajectories.
            context: context of each trajectory.
        """
        head = context.head if context is not None else None
        level = self.level.mean().expand(n) if head is None else self.level[head]
        if self.change is not None and context is not None:
            level = level + self.change(context.values)[:, 0]
        return level
