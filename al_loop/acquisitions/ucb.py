"""Upper confidence bound."""

from __future__ import annotations

import math
from typing import Annotated

from botorch.acquisition import AcquisitionFunction, UpperConfidenceBound, qUpperConfidenceBound
from pydantic import Field

from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel

#: fixed posterior samples on models whose posteriors are not normal
_N_SAMPLES = 256


class UCB(Acquisition):
    """Upper confidence bound, mean + kappa * standard deviation (Srinivas et al. 2010).

    Pending objects count as measured at their posterior mean (GP-BUCB, Desautels et al. 2014); on models whose
    posteriors are not normal, BoTorch's batch form with ``X_pending`` is used.

    Args:
        kappa: weight of the standard deviation; the larger, the more exploration.
    """

    kind = "ucb"

    def __init__(self, kappa: Annotated[float, Field(gt=0)] = 1.0) -> None:
        if not (kappa > 0 and math.isfinite(kappa)):
            raise ValueError(f"acquisition.kappa: {kappa} must be a positive finite number")
        self.kappa = kappa

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        if context.X_pending is not None:
            if not model.has_normal_posterior:
                sampler = sampler_of(model, context.X_baseline, _N_SAMPLES, seed=0)
                return qUpperConfidenceBound(model, beta=self.kappa**2, sampler=sampler, X_pending=context.X_pending)
            model = model.condition_on_pending(context.X_pending)
        return UpperConfidenceBound(model, beta=self.kappa**2)
