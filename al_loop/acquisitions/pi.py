"""Probability of improvement."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction, qProbabilityOfImprovement
from botorch.acquisition.analytic import LogProbabilityOfImprovement
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe
from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import Acquisition, AcquisitionContext, TargetTransform
from al_loop.surrogates.base import SurrogateModel


class PI(Acquisition):
    """Log of the probability that an object beats the best target by a margin (Kushner 1964).

    It values whether an object improves, not by how much: small sure gains come first, unless ``margin`` requires
    larger ones. Pending objects count as measured at their posterior mean, and the best of those means as measured too.
    On models whose posteriors are not normal it is the probability for an object and the pending ones together, from
    posterior samples.

    Args:
        margin: least improvement, in the oracle's unit, for either goal.
        n_samples: fixed quasi-random posterior samples, if posteriors are not normal.
        seed: of those samples.
    """

    kind = "pi"

    def __init__(
        self,
        margin: Annotated[float, Field(ge=0)] = 0.0,
        n_samples: Annotated[int, Field(ge=1)] = 128,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        if not (margin >= 0 and math.isfinite(margin)):
            raise ValueError(f"acquisition.margin: {margin} must be a finite number of at least 0")
        self.margin = margin
        self.n_samples = n_samples
        self.seed = seed

    def in_unit_of(self, transform: TargetTransform, best_f: float) -> PI:
        """Return the acquisition with the margin that the configured one is just above the best target."""
        best = transform.inverse(np.array(best_f))
        margin = float(transform.forward(best + self.margin)) - best_f if self.margin else 0.0
        return PI(max(margin, 0.0), self.n_samples, self.seed)

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        X_pending, best_f = context.X_pending, context.best_f
        if X_pending is not None:
            if not model.has_normal_posterior:
                sampler = sampler_of(model, context.X_baseline, self.n_samples, self.seed)
                return _Log(
                    qProbabilityOfImprovement(model, best_f + self.margin, sampler=sampler, X_pending=X_pending)
                )
            model, best_f = believe(model, X_pending, best_f)
        return LogProbabilityOfImprovement(model, best_f=best_f + self.margin)


class _Log(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """The log of a positive acquisition function."""

    def __init__(self, acquisition: AcquisitionFunction) -> None:
        super().__init__(acquisition.model)
        self.acquisition = acquisition

    def forward(self, X: Tensor) -> Tensor:
        value: Tensor = self.acquisition(X)
        return value.clamp_min(torch.finfo(value.dtype).tiny).log()
