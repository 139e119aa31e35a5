"""The entropic PPO objective, which takes many steps on each draw."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from al_loop.gflownet.losses import LossName
from al_loop.gflownet.objectives._advantages import PolicyGradientObjective
from al_loop.gflownet.objectives.base import Terms
from al_loop.system.checks import in_range

_MAX_LOG_RATIO = 20.0  # beyond it, the exponential's gradient may overflow


class EntropicPPO(PolicyGradientObjective):
    """Proximal policy optimisation for the entropy-regularised return (Ent-PPO, Zykova-Myzina et al. 2026, eq. 20).

    The clipped surrogate of PPO, less the divergence of the policy from the one that drew the trajectories,
    KL(P_F || P_F at the draw), in each state. The divergence is what soft policy improvement leaves of the entropy;
    without it the maximum would be the best object instead of R / Z. It allows several passes over a draw
    (``TrainingSettings.epochs``), so that few rewards are needed.

    Args:
        trace: lambda of the generalised advantage estimate, 0 to 1; 1: the whole return after a step.
        clip: largest change of a step's probability that is rewarded, as a share of it, above 0.
        value_weight: weight of the loss of the values, above 0.
        loss: the regression loss of the values.

    Raises:
        ValueError: an argument is out of range.
    """

    kind = "entropic_ppo"
    uses_drawing_policy: ClassVar[bool] = True

    def __init__(
        self, trace: float = 0.7, clip: float = 0.2, value_weight: float = 1.0, loss: LossName = "squared"
    ) -> None:
        super().__init__(trace, value_weight, loss)
        in_range("clip", clip, 0, above=True)
        self.clip = clip

    def __call__(self, terms: Terms) -> Tensor:
        """Return the losses of the trajectories, shape n."""
        assert terms.drawn is not None
        assert terms.divergence is not None
        advantages = self.advantages(terms.drawn)
        change = (terms.log_pf - terms.drawn.log_pf.detach()).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
        clipped = change.clamp(1 - self.clip, 1 + self.clip)
        surrogate = torch.minimum(change * advantages, clipped * advantages) - terms.divergence
        return self.value_loss(terms, terms.drawn, advantages) - (surrogate * terms.is_step).sum(0)
