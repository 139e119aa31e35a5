"""The trajectory balance objective."""

from __future__ import annotations

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class TrajectoryBalance(Objective):
    """Balance of the forward and backward flow of whole trajectories (Malkin et al. 2022, eq. 14)."""

    kind = "trajectory_balance"

    def __call__(self, terms: Terms) -> Tensor:
        """Return the losses, shape n, of Z P_F(trajectory) = R(x) P_B(trajectory | x)."""
        return self.loss(terms.log_z + terms.log_pf.sum(0) - terms.log_reward - terms.log_pb.sum(0))
