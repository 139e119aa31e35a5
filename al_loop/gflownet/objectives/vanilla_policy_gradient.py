"""The vanilla policy gradient objective."""

from __future__ import annotations

from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives._advantages import PolicyGradientObjective
from al_loop.gflownet.objectives.base import Terms


class VanillaPolicyGradient(PolicyGradientObjective):
    """The gradient of the entropy-regularised return (VPG, Zykova-Myzina et al. 2026, algorithm 1).

    "Proximal policy optimization for amortized discrete sampling", arXiv 2606.15793. The value is that of a surrogate,
    whose gradient counts. It learns from fresh draws of the present policy alone.

    Args:
        trace: lambda of the generalised advantage estimate, 0 to 1; 1: the whole return after a step.
        value_weight: weight of the loss of the values, above 0.
        loss: the regression loss of the values.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "vanilla_policy_gradient"

    def __init__(self, trace: float = 0.7, value_weight: float = 1.0, loss: LossName = "squared") -> None:
        super().__init__(trace, value_weight, loss)

    def __call__(self, terms: Terms) -> Tensor:
        """Return the losses of the trajectories, shape n."""
        advantages = self.advantages(terms)
        return self.value_loss(terms, terms, advantages) - (terms.log_pf * advantages).sum(0)
