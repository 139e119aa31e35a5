"""Log of the total flow, a parameter that is learned along with the policy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.gflownet.policies.base import Context, Policy


class LogZ(nn.Module):
    """Log of the total flow: a level for each head, plus a change that depends on the conditions.

    Of conditions in the start states, the change is the policy's own flow at these states.

    Args:
        n_conditions: number of conditions of the reward.
        heads: members of the ensemble of forward heads.
        has_starts: whether there are conditions in the start states.
    """

    def __init__(self, n_conditions: int, heads: int, has_starts: bool = False) -> None:
        super().__init__()
        self.has_starts = has_starts
        self.level = nn.Parameter(torch.zeros(heads))
        self.change = (
            nn.Sequential(nn.Linear(n_conditions, 64), nn.LeakyReLU(), nn.Linear(64, 1)) if n_conditions else None
        )

    def forward(self, policy: Policy, start: Tensor, context: Context | None) -> Tensor:
        """Return log Z of n trajectories, shape n.

        Args:
            policy: the policy.
            start: the start states of the trajectories, shape n x state_size.
            context: context of each trajectory.

        Raises:
            ValueError: there are conditions in the start states, and the policy does not model flows.
        """
        head = context.head if context is not None else None
        level = self.level.mean().expand(len(start)) if head is None else self.level[head]
        if self.change is not None and context is not None:
            level = level + self.change(context.values)[:, 0]
        if self.has_starts:
            flow = policy.log_flow(start, context)
            if flow is None:
                raise ValueError(
                    f"policy: {type(policy).__name__} does not model flows, from which log Z of each condition is "
                    "read; implement its log_flow, or use objective: log_partition_variance"
                )
            level = level + flow
        return level
