"""Detailed balance."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class DetailedBalance(Objective):
    """Flow of each step, forward and backward (Bengio et al. 2023, "GFlowNet foundations", def. 17)."""

    kind = "detailed_balance"
    uses_flows: ClassVar[bool] = True

    def __call__(self, terms: Terms) -> Tensor:
        """N losses: the mean over the steps of F(s) P_F(s'|s) against F(s') P_B(s|s')."""
        assert terms.log_flow is not None
        residuals = terms.log_flow[:-1] + terms.log_pf - terms.log_flow[1:] - terms.log_pb
        return self.mean_over_steps(residuals, terms.is_step)
