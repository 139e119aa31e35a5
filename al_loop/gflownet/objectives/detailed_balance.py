"""The detailed balance objective."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class DetailedBalance(Objective):
    """Balance of the flow of each step, F(s) P_F(s'|s) = F(s') P_B(s|s') (Bengio et al. 2023, def. 17)."""

    kind = "detailed_balance"
    uses_flows: ClassVar[bool] = True

    def __call__(self, terms: Terms) -> Tensor:
        """Return the mean loss over the steps of each trajectory, shape n."""
        assert terms.log_flow is not None
        residuals = terms.log_flow[:-1] + terms.log_pf - terms.log_flow[1:] - terms.log_pb
        return self.mean_over_steps(residuals, terms.is_step)
