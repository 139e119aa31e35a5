"""Log expected improvement."""

from __future__ import annotations

from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.acquisition.objective import IdentityMCObjective
from botorch.models.model import Model
from botorch.sampling.normal import SobolQMCNormalSampler
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.base import Acquisition


class QLogEI(Acquisition):
    """Log of the improvement expected from an object and the pending ones together (Ament et al. 2023).

    Args:
        n_samples: fixed quasi-random posterior samples; a power of two suits them.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlogei"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    def build(self, model: Model, X_baseline: Tensor, X_pending: Tensor | None, best_f: float) -> AcquisitionFunction:
        """See the base class."""
        sampler = SobolQMCNormalSampler(torch.Size([self.n_samples]), seed=self.seed)
        if X_pending is not None and len(X_pending) == 0:
            X_pending = None
        if X_pending is not None and hasattr(model, "jointly_with"):  # the same values without copying X_pending
            joint = model.jointly_with(X_pending)
            return qLogExpectedImprovement(joint, best_f=best_f, sampler=sampler, objective=_Identity())
        return qLogExpectedImprovement(model, best_f=best_f, sampler=sampler, X_pending=X_pending)


class _Identity(IdentityMCObjective):  # type: ignore[misc]  # BoTorch is untyped here
    """The posterior value itself, of more values than there are rows of X: the pending ones come with them."""

    _verify_output_shape = False
