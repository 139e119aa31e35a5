"""Log noisy expected improvement."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.utils import prune_inferior_points
from botorch.utils.sampling import draw_sobol_normal_samples
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._baseline_samples import SampledBaseline
from al_loop.acquisitions._log_improvement import log_improvement
from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.surrogates.base import SurrogateModel

_PRUNING_SAMPLES = 1024


class QLogNEI(Acquisition):
    """Log of the expected improvement over the true best so far, for noisy measurements (Letham et al. 2019).

    The best so far is not the luckiest measurement but the largest of the true values at the measured objects, of which
    the model has a distribution; pending objects belong to them (the incremental form of BoTorch's
    ``qLogNoisyExpectedImprovement``, Ament et al. 2023). Values at the baseline are sampled; given a sample, an
    object's expected improvement is in closed form, which needs far fewer samples than sampling the object, too.

    On models without a fast cross posterior it is BoTorch's own, which copies the baseline for every object: slow.

    Args:
        n_samples: fixed quasi-random samples of the values at the baseline, preferably a power of two.
        prune_baseline: whether to leave out measured objects that are the best in none of 1,024 samples.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlognei"

    def __init__(
        self,
        n_samples: Annotated[int, Field(ge=1)] = 128,
        prune_baseline: bool = True,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.n_samples = n_samples
        self.prune_baseline = prune_baseline
        self.seed = seed

    @torch.no_grad()
    def build(self, model: SurrogateModel, context: AcquisitionContext) -> AcquisitionFunction:
        X_baseline, X_pending = context.X_baseline, context.X_pending
        if self.prune_baseline and len(X_baseline) > 1:
            sampler = sampler_of(model, X_baseline, _PRUNING_SAMPLES, self.seed)
            X_baseline = prune_inferior_points(model, X_baseline, sampler=sampler)
        if not model.has_fast_cross_posterior:
            return qLogNoisyExpectedImprovement(
                model,
                X_baseline,
                sampler=sampler_of(model, context.X_baseline, self.n_samples, self.seed),
                X_pending=X_pending,
                prune_baseline=False,
            )
        if X_pending is not None:
            X_baseline = torch.cat([X_baseline, X_pending.to(X_baseline)])
        return NoisyImprovement(model, X_baseline, self.n_samples, self.seed)


class NoisyImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E max(f(x) - max f(baseline), 0) of single objects: the baseline is sampled, the object integrated out.

    Args:
        model: its joint posteriors are normal.
        X_baseline: n x d features.
        n_samples: quasi-random samples of the values at the baseline.
        seed: of the samples.
    """

    def __init__(self, model: SurrogateModel, X_baseline: Tensor, n_samples: int, seed: int) -> None:
        super().__init__(model)
        z = draw_sobol_normal_samples(
            len(X_baseline), n_samples, device=X_baseline.device, dtype=torch.float64, seed=seed
        )
        self.baseline = SampledBaseline(model, X_baseline, z)
        self.register_buffer("_best", self.baseline.values.max(dim=-1).values)

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
        means, std = self.baseline.conditional(X)
        std = std.unsqueeze(-1)
        value = log_improvement((means - self._best) / std) + std.log()
        return torch.logsumexp(value, dim=-1) - math.log(len(self._best))
