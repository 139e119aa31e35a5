"""The sub-trajectory balance objective."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives.base import Objective, Terms


class SubTrajectoryBalance(Objective):
    """Balance of all sub-trajectories, with weight lambda^k for k steps (Madan et al. 2023, "SubTB(lambda)").

    Args:
        weight: lambda, above 0; detailed balance in the limit 0, trajectory balance in the limit of large values.
        loss: the regression loss.

    Raises:
        ValueError: the weight is not positive.
    """

    kind = "sub_trajectory_balance"
    uses_flows: ClassVar[bool] = True

    def __init__(self, weight: float = 0.9, loss: LossName = "squared") -> None:
        super().__init__(loss)
        if not weight > 0:
            raise ValueError(f"weight: lambda must be above 0, got {weight}")
        self.weight = weight

    def __call__(self, terms: Terms) -> Tensor:
        """Return the weighted mean loss, shape n, over all pairs of states s before s' on each trajectory."""
        assert terms.log_flow is not None
        # potential[t] = log F(s_t) - sum of log(P_F / P_B) before t: the residual of (i, j) is a difference of two
        steps = torch.nn.functional.pad((terms.log_pf - terms.log_pb).cumsum(0), (0, 0, 1, 0))
        potential = terms.log_flow - steps
        n_states = len(potential)
        first, last = torch.triu_indices(n_states, n_states, 1, device=potential.device)
        is_pair = terms.is_step[last - 1]
        weights = is_pair * (self.weight ** (last - first - 1).to(potential.dtype))[:, None]
        residuals = (potential[first] - potential[last]).masked_fill(~is_pair, 0.0)
        losses: Tensor = (self.loss(residuals) * weights).sum(0) / weights.sum(0)
        return losses
