"""Trajectory balance."""

from __future__ import annotations

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class TrajectoryBalance(Objective):
    """Forward and backward flow of whole trajectories (Malkin et al. 2022, eq. 14)."""

    kind = "trajectory_balance"

    def __call__(self, terms: Terms) -> Tensor:
        """N losses of Z P_F(trajectory) against R(x) P_B(trajectory | x)."""
        return self.loss(terms.log_z + terms.log_pf.sum(0) - terms.log_reward - terms.log_pb.sum(0))
