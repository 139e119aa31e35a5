"""Log noisy expected hypervolume improvement."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models.model import Model
from botorch.sampling.get_sampler import get_sampler
from botorch.sampling.list_sampler import ListSampler
from botorch.utils.multi_objective.box_decompositions.box_decomposition_list import BoxDecompositionList
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.sampling import draw_sobol_normal_samples
from linear_operator.utils.cholesky import psd_safe_cholesky
from pydantic import Field
from torch import Tensor

from al_loop.acquisitions.multi_objective import MultiObjectiveAcquisition
from al_loop.acquisitions.pending import some
from al_loop.acquisitions.qlognei import log_improvement
from al_loop.surrogates.gp import ExactGPModel

_PRUNING_SAMPLES = 256
_CHUNK = 512  # objects whose improvements over all boxes are held at once


class QLogNEHVI(MultiObjectiveAcquisition):
    """Log of the hypervolume expected to be gained over the front of what is truly best so far (Daulton et al. 2021).

    The values at what was measured, and at what is pending, are known as distributions only: they are sampled. Given a
    sample, the space above its front is cut into boxes, and an object's expected improvement over them is in closed
    form, since the objectives have independent models (Emmerich et al. 2006; in logarithms, Ament et al. 2023). So few
    samples do, and no object needs a copy of the baseline.

    On models other than exact Gaussian processes it is BoTorch's own, which copies the baseline for every object: slow.

    Args:
        n_samples: fixed quasi-random samples of the values at the baseline; a power of two suits them.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlognehvi"

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 32, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed

    @torch.no_grad()
    def build_front(
        self,
        model: Model,
        X_baseline: Tensor,
        Y: Tensor,
        reference_point: Tensor | None,
        X_pending: Tensor | None,
    ) -> AcquisitionFunction:
        """See the base class."""
        X_pending = some(X_pending)
        point = inferred(Y) if reference_point is None else reference_point.to(Y)
        if not all(isinstance(m, ExactGPModel) for m in model.models):
            return qLogNoisyExpectedHypervolumeImprovement(
                model,
                ref_point=point,
                X_baseline=X_baseline,
                sampler=ListSampler(
                    *[
                        get_sampler(one.posterior(X_baseline[:1]), torch.Size([self.n_samples]), seed=self.seed + i)
                        for i, one in enumerate(model.models)
                    ]
                ),
                X_pending=X_pending,
                prune_baseline=True,
                cache_root=False,
            )
        X_baseline = X_baseline[ever_on_the_front(model, X_baseline, self.seed)]
        if X_pending is not None:
            X_baseline = torch.cat([X_baseline, X_pending.to(X_baseline)])
        return HypervolumeImprovement(model, X_baseline, point, self.n_samples, self.seed)


def ever_on_the_front(model: Model, X: Tensor, seed: int) -> Tensor:
    """Which rows (n x d) are on the front in any of 256 joint samples of their values: n, bool."""
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for one in model.models:
        posterior = one.posterior(X)
        root = psd_safe_cholesky(posterior.distribution.covariance_matrix)
        z = torch.randn(len(X), _PRUNING_SAMPLES, generator=generator, dtype=torch.float64).to(root)
        columns.append(posterior.mean + root @ z)
    values = torch.stack(columns, dim=-1)  # n x samples x m
    found = torch.zeros(len(X), dtype=torch.bool, device=X.device)
    for sample in values.unbind(1):
        found |= is_non_dominated(sample)
    return found


def inferred(Y: Tensor) -> Tensor:
    """A reference point below the front of Y (n x m), by BoTorch's rule; below all of it where it has no range: m."""
    front = Y[is_non_dominated(Y)]
    range_of_all = (Y.max(0).values - Y.min(0).values).clamp_min(1e-6)
    if len(front) == 1:
        point: Tensor = front[0] - 0.1 * range_of_all
        return point
    found: Tensor = infer_reference_point(front)
    flat = front.max(0).values == front.min(0).values
    return torch.where(flat, front.min(0).values - 0.1 * range_of_all, found)


class HypervolumeImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E [hypervolume gained by an object], with independent exact GPs for the objectives.

    For each objective, given its values at the baseline (C = L L', values mean + L z), the object's value is normal
    with mean mean(x) + l(x)'z and variance var(x) - |l(x)|², l(x) = L^-1 cov(baseline, x). For a box from a to b the
    part of [a, value] within it has the mean psi(a) - psi(b), psi(c) = E max(value - c, 0); the gain is the sum over
    boxes of the products over the objectives.
    """

    def __init__(self, model: Model, X_baseline: Tensor, point: Tensor, n_samples: int, seed: int) -> None:
        super().__init__(model)
        self._n = n_samples
        values = []
        # one sequence for all objectives: two would not be independent of one another
        n, m = len(X_baseline), len(model.models)
        draws = draw_sobol_normal_samples(m * n, n_samples, device=point.device, dtype=point.dtype, seed=seed)
        for i, (one, z) in enumerate(zip(model.models, draws.split(n, dim=1), strict=True)):
            rows = one.prepare(X_baseline)
            mean, whitened = one.mean_and_whitened(rows)
            W = whitened.T.contiguous()
            L = psd_safe_cholesky(one.covariance(one.kernel.cross(rows, rows), W, W, is_same=True))
            self.register_buffer(f"_W_{i}", W)
            self.register_buffer(f"_L_{i}", L)
            self.register_buffer(f"_z_{i}", z)
            values.append(mean + z @ L.T)
        self._baseline = X_baseline
        fronts = torch.stack(values, dim=-1)  # samples x baseline x m
        boxes = BoxDecompositionList(*[FastNondominatedPartitioning(ref_point=point, Y=front) for front in fronts])
        lower, upper = boxes.get_hypercell_bounds()  # samples x boxes x m each; lists of unequal length are padded
        self.register_buffer("_lower", lower)
        self.register_buffer("_upper", upper)

    def forward(self, X: Tensor) -> Tensor:
        """Values of ``b x 1 x d`` features: b."""
        return torch.cat([self._log_gain(part) for part in X.split(_CHUNK)])

    def _log_gain(self, X: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        for i, one in enumerate(self.model.models):
            W, L, z = getattr(self, f"_W_{i}"), getattr(self, f"_L_{i}"), getattr(self, f"_z_{i}")
            rows = one.prepare(X)
            mean, whitened = one.mean_and_whitened(rows)
            cross = one.covariance(one.kernel.cross(rows, one.prepare(self._baseline)), whitened.T, W, is_same=False)
            own = torch.linalg.solve_triangular(L, cross.T, upper=False)
            variance = one.signal_variance * (1 - whitened.square().sum(0)) - own.square().sum(0)
            std = variance.clamp_min(1e-9 * one.signal_variance).sqrt()[:, None, None]
            given = (mean[:, None] + own.T @ z.T)[:, :, None]  # b x samples x 1
            low, high = self._lower[..., i], self._upper[..., i]
            log_low = log_improvement((given - low) / std)
            log_high = log_improvement((given - high) / std)  # -inf where the box is open above
            difference = (log_high - log_low).clamp_max(-1e-12)
            total = total + log_low + std.log() + torch.log1p(-difference.exp())
        assert isinstance(total, Tensor)
        is_empty = (self._upper <= self._lower).any(-1)  # padding
        total = total.masked_fill(is_empty, -math.inf).clamp_min(-1e4)
        return torch.logsumexp(total.flatten(1), dim=1) - math.log(self._n)
