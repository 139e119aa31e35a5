"""The sub-trajectory balance objective."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives._pairs import PairwiseObjective, states_of
from al_loop.gflownet.objectives.base import Terms


class SubTrajectoryBalance(PairwiseObjective):
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
        super().__init__(weight, loss)

    def __call__(self, terms: Terms) -> Tensor:
        """Return the weighted mean loss, shape n, over all pairs of states s before s' on each trajectory."""
        assert terms.log_flow is not None
        return self.mean_over_pairs(terms, terms.log_flow, states_of(terms))
