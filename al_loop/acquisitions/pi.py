"""Probability of improvement."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction, qProbabilityOfImprovement
from botorch.acquisition.analytic import LogProbabilityOfImprovement
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._kriging_believer import believe, can_believe, some
from al_loop.acquisitions.base import Acquisition
from al_loop.modelling.transforms import FittedTransform


class PI(Acquisition):
    """Log of the probability that an object beats the best target by a margin (Kushner 1964).

    It asks whether, not by how much: small sure gains come first, and with ``margin`` larger ones are asked for.
    Pending objects count as measured at their posterior mean, and the best of those means as measured too, where the
    model can do that (``condition_on_pending``); on other models it is the probability for an object and the pending
    ones together, from posterior samples.

    Args:
        margin: by how much the best is to be beaten, in the oracle's unit, for either goal.
        n_samples: fixed quasi-random posterior samples, for models that need them.
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
            raise ValueError(f"acquisition.margin: {margin} must be a number of at least 0")
        self.margin = margin
        self.n_samples = n_samples
        self.seed = seed

    def in_unit_of(self, transform: FittedTransform, best_f: float) -> PI:
        """See the base class: the margin is what it is above the best."""
        best = transform.inverse(np.array(best_f))
        margin = float(transform.forward(best + self.margin)) - best_f if self.margin else 0.0
        return PI(max(margin, 0.0), self.n_samples, self.seed)

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class; X_baseline is not needed."""
        X_pending = some(X_pending)
        if X_pending is not None:
            if not can_believe(model):
                sampler = SobolQMCNormalSampler(torch.Size([self.n_samples]), seed=self.seed)
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
