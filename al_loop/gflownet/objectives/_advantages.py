"""Advantages in the entropy-regularised decision process of a GFlowNet, which policy gradients share."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives.base import Objective, Terms
from al_loop.system.checks import in_range


class PolicyGradientObjective(Objective):
    """A loss whose gradient is that of the soft return (Tiapkin et al. 2024; Zykova-Myzina et al. 2026).

    A step earns log P_B, the last one log R on top, and each costs its own log P_F. The value of a state is then its
    log-flow at the optimum, where all advantages are 0 and objects are distributed as R / Z. Flows are trained to be
    the values of the present policy; no gradient reaches the backward policy.

    Args:
        trace: lambda of the generalised advantage estimate, 0 to 1; 1: the whole return after a step.
        value_weight: weight of the loss of the values, above 0.
        loss: the regression loss of the values.

    Raises:
        ValueError: an argument is out of range.
    """

    uses_flows: ClassVar[bool] = True
    is_on_policy: ClassVar[bool] = True

    def __init__(self, trace: float, value_weight: float, loss: LossName) -> None:
        super().__init__(loss)
        in_range("trace", trace, 0, 1)
        in_range("value_weight", value_weight, 0, above=True, below=True)
        self.trace, self.value_weight = trace, value_weight

    def advantages(self, terms: Terms) -> Tensor:
        """Return the advantage of each step, shape T x n, without gradients; 0 beyond the end.

        Args:
            terms: the terms of the policy that drew the trajectories.
        """
        assert terms.log_flow is not None
        flow = terms.log_flow.detach()
        surplus = terms.log_pb.detach() - terms.log_pf.detach() + flow[1:] - flow[:-1]
        surplus = surplus.masked_fill(~terms.is_step, 0.0)
        steps = torch.arange(len(surplus), device=surplus.device)
        distance = steps - steps[:, None]
        weights = torch.where(distance >= 0, self.trace ** distance.clamp(min=0).to(surplus.dtype), 0.0)
        return weights @ surplus

    def value_loss(self, terms: Terms, drawn: Terms, advantages: Tensor) -> Tensor:
        """Return the weighted loss of the values, shape n, whose targets are advantages and values at the draw.

        Args:
            terms: the terms of the policy in training.
            drawn: the terms of the policy that drew the trajectories.
            advantages: the advantages of the steps, shape T x n.
        """
        assert terms.log_flow is not None
        assert drawn.log_flow is not None
        targets = drawn.log_flow[:-1].detach() + advantages
        return self.value_weight * self.mean_over_steps(terms.log_flow[:-1] - targets, terms.is_step)
