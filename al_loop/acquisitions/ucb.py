"""Upper confidence bound."""

from __future__ import annotations

import math
from typing import Annotated

from botorch.acquisition import AcquisitionFunction, UpperConfidenceBound, qUpperConfidenceBound
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.base import Acquisition


class UCB(Acquisition):
    """Upper confidence bound, mean + kappa * standard deviation (Srinivas et al. 2010).

    Pending objects count as measured at their posterior mean where the model can do that (``condition_on_pending``:
    GP-BUCB, Desautels et al. 2014); on other models BoTorch's batch form with ``X_pending`` is used.

    Args:
        kappa: how many standard deviations an unknown is worth; 0 would only exploit.
    """

    kind = "ucb"

    def __init__(self, kappa: Annotated[float, Field(gt=0)] = 1.0) -> None:
        if not (kappa > 0 and math.isfinite(kappa)):
            raise ValueError(f"acquisition.kappa: {kappa} must be a positive number")
        self.kappa = kappa

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; X_baseline and best_f are not needed."""
        if X_pending is not None and len(X_pending):
            if not hasattr(model, "condition_on_pending"):
                return qUpperConfidenceBound(model, beta=self.kappa**2, X_pending=X_pending)
            model = model.condition_on_pending(X_pending)
        return UpperConfidenceBound(model, beta=self.kappa**2)
