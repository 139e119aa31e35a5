"""Sub-trajectory balance."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives.base import Objective, Terms


class SubTrajectoryBalance(Objective):
    """All sub-trajectories, those of k steps weighted by lambda^k (Madan et al. 2023, "SubTB(lambda)").

    Args:
        weight: lambda; towards 0 detailed balance, for large values trajectory balance.
        loss: the regression loss.
    """

    kind = "sub_trajectory_balance"
    uses_flows: ClassVar[bool] = True

    def __init__(self, weight: float = 0.9, loss: LossName = "squared") -> None:
        super().__init__(loss)
        if not weight > 0:
            raise ValueError(f"weight: lambda must be above 0, not {weight}")
        self.weight = weight

    def __call__(self, terms: Terms) -> Tensor:
        """N losses: the weighted mean over all pairs of states s before s' on a trajectory."""
        assert terms.log_flow is not None
        # potential[t] = log F(s_t) - sum of log(P_F / P_B) before t: the residual of (i, j) is a difference of two
        steps = torch.nn.functional.pad((terms.log_pf - terms.log_pb).cumsum(0), (0, 0, 1, 0))
        potential = terms.log_flow - steps
        n_states = len(potential)
        first, last = torch.triu_indices(n_states, n_states, 1, device=potential.device)
        is_there = terms.is_step[last - 1]
        weights = is_there * (self.weight ** (last - first - 1).to(potential.dtype))[:, None]
        residuals = (potential[first] - potential[last]).masked_fill(~is_there, 0.0)
        losses: Tensor = (self.loss(residuals) * weights).sum(0) / weights.sum(0)
        return losses
