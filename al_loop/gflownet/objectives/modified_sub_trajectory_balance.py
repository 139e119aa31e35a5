"""The modified sub-trajectory balance objective, for objects that may be finished at every step."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives._pairs import PairwiseObjective, states_of
from al_loop.gflownet.objectives.base import Terms


class ModifiedSubTrajectoryBalance(PairwiseObjective):
    """Sub-trajectory balance with flows from the reward of stopping (Deleu et al. 2022; Hu et al. 2024, eq. 3).

    Where an object may be finished, the flow is F(s) = R(s stopped) / P_F(stop | s), so that no network for flows is
    needed and every prefix of a trajectory teaches. Where it may not, only the initial state takes part, by log Z.
    The reward must be a ``StateReward``.

    Args:
        weight: lambda, above 0: the weight of a sub-trajectory of k steps is lambda^(k - 1).
        loss: the regression loss.

    Raises:
        ValueError: the weight is not positive.
    """

    kind = "modified_sub_trajectory_balance"
    uses_stops: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0, loss: LossName = "squared") -> None:
        super().__init__(weight, loss)

    def __call__(self, terms: Terms) -> Tensor:
        """Return the weighted mean loss, shape n, over all pairs of states with a flow on each trajectory."""
        assert terms.log_stop is not None
        assert terms.log_reward_stopped is not None
        may_stop = terms.log_stop > -torch.inf
        flow = (terms.log_reward_stopped - terms.log_stop).masked_fill(~may_stop, 0.0)
        flow = torch.cat([torch.where(may_stop[:1], flow[:1], terms.log_z[None]), flow[1:]])
        # after a stop, the state is that of the step before, and takes no part
        has_flow = may_stop & states_of(terms)
        has_flow = torch.cat([torch.ones_like(has_flow[:1]), has_flow[1:]])
        return self.mean_over_pairs(terms, flow, has_flow)
