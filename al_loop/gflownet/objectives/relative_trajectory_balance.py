"""The relative trajectory balance objective."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class RelativeTrajectoryBalance(Objective):
    """Sampling in proportion to R(x) p(x) under a frozen reference policy p (Venkatraman et al. 2024, eq. 7).

    The reference is a policy trained on data (``al-loop pretrain``). No backward policy is involved, since both
    policies are compared on the same trajectories.
    """

    kind = "relative_trajectory_balance"
    uses_reference: ClassVar[bool] = True

    def __call__(self, terms: Terms) -> Tensor:
        """Return the losses, shape n, of Z P_F(trajectory) = R(x) P_reference(trajectory)."""
        assert terms.log_reference is not None
        return self.loss(terms.log_z + terms.log_pf.sum(0) - terms.log_reward - terms.log_reference.sum(0))
