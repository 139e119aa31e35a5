"""Log expected improvement, jointly with pending objects."""

from __future__ import annotations

from typing import Annotated

from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.acquisition.objective import IdentityMCObjective
from pydantic import Field

from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel


class QLogEI(Acquisition):
    """Log of the expected improvement of an object and the pending ones together (Ament et al. 2023).

    Args:
        n_samples: fixed quasi-random posterior samples, preferably a power of two.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlogei"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        sampler = sampler_of(model, context.X_baseline, self.n_samples, self.seed)
        if context.X_pending is None:
            return qLogExpectedImprovement(model, best_f=context.best_f, sampler=sampler)
        joint = model.jointly_with(context.X_pending)  # the same values as BoTorch's X_pending, without its copies
        return qLogExpectedImprovement(joint, best_f=context.best_f, sampler=sampler, objective=_Identity())


class _Identity(IdentityMCObjective):  # type: ignore[misc]  # BoTorch is untyped here
    """The posterior values themselves, which include the pending rows besides those of X."""

    _verify_output_shape = False
