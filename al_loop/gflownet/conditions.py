"""The conditions of trajectories: what is fixed at their start, and known to the policy and the reward.

A condition has two parts, either of which may be absent: leading columns of the start state (``Conditioned``), and a
temperature with preferences between objectives (``Conditioning``). Objectives, log Z, floors and the replay see both
through ``Conditions``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.unique_rows import unique_rows

_MAX_PAIRS = 1 << 20  # rewards of objects under other trajectories' conditions that are computed at a time


@dataclass(frozen=True)
class Conditions:
    """The conditions of n trajectories.

    Args:
        starts: leading columns of the start states, shape n x condition_size.
        values: temperatures and preferences, shape n x n_values.
        conditioning: the effect of ``values`` on a reward.
    """

    starts: Tensor
    values: Tensor
    conditioning: Conditioning

    @property
    def group(self) -> Tensor | None:
        """The number of each trajectory's condition among those of the batch, shape n; None: there are none."""
        if not self.starts.shape[1] and not self.values.shape[1]:
            return None
        return unique_rows(torch.cat([self.starts, self.values.contiguous().view(torch.int32).long()], 1))[1]

    def reward(self, log_reward: Tensor) -> Tensor:
        """Return the log-rewards of the trajectories' objects, each under its trajectory's condition, shape n.

        Args:
            log_reward: log-rewards before conditioning, shape n or n x objectives.
        """
        return self.conditioning.apply(log_reward, self.values)

    def floored(self, log_reward: Tensor, floor: float) -> Tensor:
        """Return conditioned log-rewards, shape n, none of which is too far below the best of its condition.

        The best is that of all objects of the batch which have the same start, under the trajectory's own temperature
        and preferences; of all conditions together, if that is -inf.

        Args:
            log_reward: log-rewards before conditioning, shape n or n x objectives.
            floor: largest distance from the best.
        """
        rewards = self.reward(log_reward)
        return rewards.clamp(min=self._lowest(log_reward, rewards, floor))

    def lowest(self, log_reward: Tensor, floor: float) -> Tensor:
        """Return the least conditioned log-reward that counts as itself for each trajectory, shape n, or one for all.

        Args:
            log_reward: log-rewards before conditioning, shape n or n x objectives.
            floor: largest distance from the best; see ``floored``.
        """
        return self._lowest(log_reward, self.reward(log_reward), floor)

    def _lowest(self, log_reward: Tensor, rewards: Tensor, floor: float) -> Tensor:
        """Return ``lowest`` from the log-rewards before and after conditioning."""
        best = self._highest(log_reward, rewards)
        if best.dim():
            best = torch.where(best == -torch.inf, rewards.max(), best)
        return best - floor

    def _highest(self, log_reward: Tensor, rewards: Tensor) -> Tensor:
        """Return the largest log-reward under each trajectory's condition, shape n; if all share one, a scalar."""
        start = unique_rows(self.starts)[1] if self.starts.shape[1] else None
        if not self.values.shape[1]:
            return _largest(rewards, start)
        if self.conditioning.objectives == 1:  # a larger reward is larger at every temperature
            return self.reward(_largest(log_reward, start).expand(len(rewards)))
        n, blocks = len(rewards), []
        for values, own in zip(
            self.values.split(max(_MAX_PAIRS // n, 1)),
            (start if start is not None else torch.zeros_like(rewards)).split(max(_MAX_PAIRS // n, 1)),
            strict=True,
        ):
            m = len(values)
            pairs = self.conditioning.apply(log_reward.repeat(m, 1), values.repeat_interleave(n, 0)).view(m, n)
            if start is not None:
                pairs = pairs.masked_fill(own[:, None] != start, -torch.inf)
            blocks.append(pairs.max(1).values)
        return torch.cat(blocks)


def _largest(log_reward: Tensor, group: Tensor | None) -> Tensor:
    """Return the largest log-reward of each trajectory's group, shape n; without groups, that of all, a scalar."""
    if group is None:
        return log_reward.max()
    lowest = log_reward.new_full((len(log_reward),), -torch.inf)
    return lowest.scatter_reduce(0, group, log_reward, "amax")[group]
