"""The weighted loss of all pairs of states on a trajectory, which objectives of sub-trajectories share."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives.base import Objective, Terms
from al_loop.system.checks import in_range


class PairwiseObjective(Objective):
    """A loss of sub-trajectories, those of k steps with weight lambda^(k - 1).

    Args:
        weight: lambda, above 0 and finite.
        loss: the regression loss.

    Raises:
        ValueError: the weight is out of range.
    """

    def __init__(self, weight: float, loss: LossName) -> None:
        super().__init__(loss)
        in_range("weight", weight, 0, above=True, below=True)
        self.weight = weight

    def mean_over_pairs(self, terms: Terms, log_flow: Tensor, has_flow: Tensor) -> Tensor:
        """Return the weighted mean loss, shape n, over all pairs of states s before s' that have a flow.

        Args:
            terms: the terms of n trajectories of at most T steps.
            log_flow: log-flows of the states, shape T + 1 x n, finite.
            has_flow: mask of the states that take part, shape T + 1 x n.
        """
        # potential[t] = log F(s_t) - sum of log(P_F / P_B) before t: the residual of (i, j) is a difference of two
        steps = torch.nn.functional.pad((terms.log_pf - terms.log_pb).cumsum(0), (0, 0, 1, 0))
        potential = log_flow - steps
        n_states = len(potential)
        first, last = torch.triu_indices(n_states, n_states, 1, device=potential.device)
        is_pair = has_flow[first] & has_flow[last]
        weights = is_pair * (self.weight ** (last - first - 1).to(potential.dtype))[:, None]
        residuals = (potential[first] - potential[last]).masked_fill(~is_pair, 0.0)
        losses: Tensor = (self.loss(residuals) * weights).sum(0) / weights.sum(0).clamp(min=1e-30)
        return losses


def states_of(terms: Terms) -> Tensor:
    """Return a mask, shape T + 1 x n, of the states up to the end of each trajectory."""
    return torch.nn.functional.pad(terms.is_step, (0, 0, 1, 0), value=True)
