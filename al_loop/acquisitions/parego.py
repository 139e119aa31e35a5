"""Random scalarisations of several objectives."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.models.model import ModelList
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions._baseline_samples import Pruning, SampledBaseline, list_sampler, sampled
from al_loop.acquisitions._log_improvement import log_improvement
from al_loop.acquisitions.base import Acquisition, AcquisitionContext
from al_loop.seeding import derive_seed

#: weight of the weighted sum besides the worst term (Knowles 2006)
_SHARE = 0.05
#: width of the normal distribution around each sampled improvement, in units of the scale
_SOFT = 0.003


class ParEGO(Acquisition):
    """Log noisy improvement of a random weighting of the objectives, another one for each pick (Knowles 2006).

    The scalarisation is the augmented Chebyshev one, -max_j w_j (1 - y_j) - 0.05 sum_j w_j (1 - y_j), of values scaled
    to [0, 1] over the measured ones, with w uniform on the simplex: every point of the front, even of one that is not
    convex, is the best for some w. The improvement is over the best of the true values at measured and pending objects
    (Daulton et al. 2020), in samples. Use the selector ``sequential`` with ``lazy: false``, so that each pick of a
    batch has weights of its own; others pick the whole batch for one weighting.

    On models without a fast cross posterior it is BoTorch's own, which copies the baseline for every object: slow.

    Args:
        n_samples: fixed quasi-random samples of the values at the baseline and at an object, preferably a power of two.
        seed: of samples and weights.
    """

    kind = "parego"
    is_multi_objective: ClassVar[bool] = True

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 128, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed
        self._on_the_front = Pruning()

    @torch.no_grad()
    def build(self, model: ModelList, context: AcquisitionContext) -> AcquisitionFunction:
        X_baseline, X_pending, Y = context.X_baseline, context.X_pending, context.targets
        n_pending = 0 if X_pending is None else len(X_pending)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "parego", len(X_baseline), n_pending))
        waits = torch.empty(Y.shape[1], dtype=torch.float64).exponential_(generator=generator)
        scalarisation = Scalarisation(Y, (waits / waits.sum()).to(Y))
        if not all(m.has_fast_cross_posterior for m in model.models):
            return qLogNoisyExpectedImprovement(
                model,
                X_baseline,
                sampler=list_sampler(model, X_baseline, self.n_samples, self.seed),
                objective=GenericMCObjective(scalarisation),
                X_pending=X_pending,
                prune_baseline=True,
                cache_root=False,
            )
        # the best is always on the front
        X_baseline = X_baseline[self._on_the_front(model, X_baseline, self.seed)]
        if X_pending is not None:
            X_baseline = torch.cat([X_baseline, X_pending.to(X_baseline)])
        return ScalarisedImprovement(model, X_baseline, scalarisation, self.n_samples, self.seed)


class Scalarisation(torch.nn.Module):
    """The augmented Chebyshev scalarisation of values: ... x m -> ...

    Args:
        Y: n x m values, whose range becomes [0, 1].
        weights: m weights.
    """

    weights: Tensor
    _high: Tensor
    _width: Tensor

    def __init__(self, Y: Tensor, weights: Tensor) -> None:
        super().__init__()
        low, high = Y.min(0).values, Y.max(0).values
        self.register_buffer("_high", high)
        self.register_buffer("_width", torch.where(high > low, high - low, torch.ones_like(low)))
        self.register_buffer("weights", weights)

    def forward(self, Y: Tensor, X: Tensor | None = None) -> Tensor:
        """Return the scalarised values; X, which BoTorch passes along, is ignored."""
        weighted = self.weights * (Y - self._high) / self._width
        value: Tensor = weighted.min(-1).values + _SHARE * weighted.sum(-1)
        return value


class ScalarisedImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E max(s(f(x)) - max s(f(baseline)), 0) for a scalarisation s, with independent exact GPs for the objectives.

    Each sample of the improvement is smoothed by a normal distribution, 0.003 of the scale wide, so that objects that
    improve in no sample are distinguished, too.
    """

    def __init__(
        self, model: ModelList, X_baseline: Tensor, scalarisation: Scalarisation, n_samples: int, seed: int
    ) -> None:
        super().__init__(model)
        baselines, z = sampled(model, X_baseline, n_samples, seed, n_more=len(model.models))
        self.baselines = torch.nn.ModuleList(baselines)
        self.scalarisation = scalarisation
        self.register_buffer("_z", z)
        self.register_buffer("best", scalarisation(torch.stack([b.values for b in baselines], dim=-1)).max(1).values)

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
        columns = []
        for baseline, z in zip(self.baselines, self._z.unbind(1), strict=True):
            assert isinstance(baseline, SampledBaseline)
            means, std = baseline.conditional(X)
            columns.append(means + std[:, None] * z)
        gains = self.scalarisation(torch.stack(columns, dim=-1)) - self.best  # b x samples
        logs = log_improvement(gains / _SOFT) + math.log(_SOFT)
        return torch.logsumexp(logs, dim=-1) - math.log(len(self._z))
