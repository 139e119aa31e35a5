"""The modified sub-trajectory balance objective, for objects that may be finished at every step."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives.base import Objective, Terms


class ModifiedSubTrajectoryBalance(Objective):
    """Sub-trajectory balance with flows from the reward of stopping (Deleu et al. 2022; Hu et al. 2024, eq. 3).

    Where an object may be finished, the flow is F(s) = R(s stopped) / P_F(stop | s), so that no network for flows is
    needed and every prefix of a trajectory teaches. Where it may not, only the initial state takes part, by log Z.
    The reward must be a ``StateReward``.

    Args:
        weight: lambda, above 0: the weight of a sub-trajectory of k steps is lambda^k.
        loss: the regression loss.

    Raises:
        ValueError: the weight is not positive.
    """

    kind = "modified_sub_trajectory_balance"
    uses_stops: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0, loss: LossName = "squared") -> None:
        super().__init__(loss)
        if not weight > 0:
            raise ValueError(f"weight: lambda must be above 0, got {weight}")
        self.weight = weight

    def __call__(self, terms: Terms) -> Tensor:
        """Return the weighted mean loss, shape n, over all pairs of states with a flow on each trajectory."""
        assert terms.log_stop is not None
        assert terms.log_reward_stopped is not None
        may_stop = terms.log_stop > -torch.inf
        flow = (terms.log_reward_stopped - terms.log_stop).masked_fill(~may_stop, 0.0)
        flow = torch.cat([torch.where(may_stop[:1], flow[:1], terms.log_z[None]), flow[1:]])
        steps = torch.nn.functional.pad((terms.log_pf - terms.log_pb).cumsum(0), (0, 0, 1, 0))
        potential = flow - steps  # the residual of two states is the difference of theirs
        # beyond the end of a trajectory, and after a stop, the state is that of the step before
        is_new = torch.nn.functional.pad(terms.is_step, (0, 0, 1, 0), value=True)
        has_flow = may_stop & is_new
        has_flow = torch.cat([torch.ones_like(has_flow[:1]), has_flow[1:]])
        first, last = torch.triu_indices(len(potential), len(potential), 1, device=potential.device)
        is_pair = has_flow[first] & has_flow[last]
        weights = is_pair * (self.weight ** (last - first - 1).to(potential.dtype))[:, None]
        residuals = (potential[first] - potential[last]).masked_fill(~is_pair, 0.0)
        losses: Tensor = (self.loss(residuals) * weights).sum(0) / weights.sum(0).clamp(min=1e-30)
        return losses
