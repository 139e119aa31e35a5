"""Log expected improvement in closed form."""

from __future__ import annotations

from typing import Annotated

from botorch.acquisition import AcquisitionFunction, LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement
from pydantic import Field

from al_loop.acquisitions._kriging_believer import believe
from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel


class LogEI(Acquisition):
    """Log of the expected improvement over the best target, in closed form (Ament et al. 2023).

    Pending objects count as measured at their posterior mean, and the best of those means as measured too. On models
    whose posteriors are not normal the improvement is that of an object and the pending ones together, from posterior
    samples, as in ``qlogei``. The log distinguishes objects whose expected improvement underflows to zero.

    Args:
        n_samples: fixed quasi-random posterior samples, if posteriors are not normal.
        seed: of those samples.
    """

    kind = "log_ei"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        X_pending, best_f = context.X_pending, context.best_f
        if X_pending is not None:
            if not model.has_normal_posterior:
                sampler = sampler_of(model, context.X_baseline, self.n_samples, self.seed)
                return qLogExpectedImprovement(model, best_f=best_f, sampler=sampler, X_pending=X_pending)
            model, best_f = believe(model, X_pending, best_f)
        return LogExpectedImprovement(model, best_f=best_f)
