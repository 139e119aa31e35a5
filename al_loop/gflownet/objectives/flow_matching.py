"""The flow matching objective."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.objectives.base import Objective, Terms


class FlowMatching(Objective):
    """Equality of the flow into each state and the flow out of it (Bengio et al. 2021, eq. 12)."""

    kind = "flow_matching"
    uses_edges: ClassVar[bool] = True
    uses_log_z: ClassVar[bool] = False

    def __call__(self, terms: Terms) -> Tensor:
        """Return the mean loss over the states after the first of each trajectory, shape n."""
        assert terms.log_inflow is not None
        assert terms.log_outflow is not None
        return self.mean_over_steps(terms.log_inflow - terms.log_outflow, terms.is_step)
