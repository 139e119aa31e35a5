"""Log expected improvement in closed form."""

from __future__ import annotations

from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction, LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe, can_believe, some
from al_loop.acquisitions.base import Acquisition


class LogEI(Acquisition):
    """Log of the expected improvement on the best target, in closed form (Ament et al. 2023).

    Pending objects count as measured at their posterior mean, and the best of those means as measured too, where the
    model can do that (``condition_on_pending``); on other models the improvement is that of an object and the pending
    ones together, from posterior samples, as ``qlogei`` has it. The log keeps objects apart whose expected improvement
    would be zero in floating point.

    Args:
        n_samples: fixed quasi-random posterior samples, for models that need them.
        seed: of those samples.
    """

    kind = "log_ei"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; X_baseline is not needed."""
        X_pending = some(X_pending)
        if X_pending is not None:
            if not can_believe(model):
                sampler = SobolQMCNormalSampler(torch.Size([self.n_samples]), seed=self.seed)
                return qLogExpectedImprovement(model, best_f=best_f, sampler=sampler, X_pending=X_pending)
            model, best_f = believe(model, X_pending, best_f)
        return LogExpectedImprovement(model, best_f=best_f)
