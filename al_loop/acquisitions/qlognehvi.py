"""Log noisy expected hypervolume improvement."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models.model import ModelList
from botorch.utils.multi_objective.box_decompositions.box_decomposition_list import BoxDecompositionList
from botorch.utils.multi_objective.box_decompositions.non_dominated import FastNondominatedPartitioning
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from pydantic import Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from al_loop.acquisitions._baseline_samples import Pruning, SampledBaseline, list_sampler, sampled
from al_loop.acquisitions._log_improvement import log_improvement
from al_loop.acquisitions.base import Acquisition, AcquisitionContext

#: improvements of objects over boxes that are in memory at once
_CHUNK = 4_000_000


class QLogNEHVI(Acquisition):
    """Log of the expected hypervolume improvement over the true front so far (Daulton et al. 2021).

    The true values at measured and pending objects are sampled from the posterior. Given a sample, the space above its
    front is cut into boxes, and an object's expected improvement over them is in closed form, since the objectives
    have independent models (Emmerich et al. 2006; in logarithms, Ament et al. 2023). So few samples suffice, and no
    object needs a copy of the baseline.

    On models without a fast cross posterior it is BoTorch's own, which copies the baseline for every object: slow.

    Args:
        n_samples: fixed quasi-random samples of the values at the baseline, preferably a power of two.
        seed: of the samples, which are the same for every object and call.
    """

    kind = "qlognehvi"
    is_multi_objective: ClassVar[bool] = True

    def __init__(self, n_samples: Annotated[int, Field(ge=1)] = 32, seed: Annotated[int, Field(ge=0)] = 0) -> None:
        self.n_samples = n_samples
        self.seed = seed
        self._on_the_front = Pruning()

    @torch.no_grad()
    def build(self, model: ModelList, context: AcquisitionContext) -> AcquisitionFunction:
        X_baseline, X_pending, Y = context.X_baseline, context.X_pending, context.targets
        point = inferred(Y) if context.reference_point is None else context.reference_point.to(Y)
        if not all(m.has_fast_cross_posterior for m in model.models):
            return qLogNoisyExpectedHypervolumeImprovement(
                model,
                ref_point=point,
                X_baseline=X_baseline,
                sampler=list_sampler(model, X_baseline, self.n_samples, self.seed),
                X_pending=X_pending,
                prune_baseline=True,
                cache_root=False,
            )
        X_baseline = X_baseline[self._on_the_front(model, X_baseline, self.seed)]
        if X_pending is not None:
            X_baseline = torch.cat([X_baseline, X_pending.to(X_baseline)])
        return HypervolumeImprovement(model, X_baseline, point, self.n_samples, self.seed)


def inferred(Y: Tensor) -> Tensor:
    """Return a reference point below the front of n x m targets, by BoTorch's rule: m.

    It is below all targets if the front has no range.
    """
    front = Y[is_non_dominated(Y)]
    range_of_all = (Y.max(0).values - Y.min(0).values).clamp_min(1e-6)
    if len(front) == 1:
        point: Tensor = front[0] - 0.1 * range_of_all
        return point
    point = infer_reference_point(front)
    flat = front.max(0).values == front.min(0).values
    return torch.where(flat, front.min(0).values - 0.1 * range_of_all, point)


class HypervolumeImprovement(AcquisitionFunction):  # type: ignore[misc]  # BoTorch is untyped here
    """log E [hypervolume gained by an object], with independent exact GPs for the objectives.

    Given a sample of the values at the baseline, an object's value in each objective is normal. For a box from a to b
    the part of [a, value] within it has the mean psi(a) - psi(b), psi(c) = E max(value - c, 0); the gain is the sum
    over boxes of the products over the objectives. Boxes share their sides: psi is computed once for each.
    """

    def __init__(self, model: ModelList, X_baseline: Tensor, point: Tensor, n_samples: int, seed: int) -> None:
        super().__init__(model)
        baselines, _ = sampled(model, X_baseline, n_samples, seed)
        self.baselines = torch.nn.ModuleList(baselines)
        fronts = torch.stack([b.values for b in baselines], dim=-1)  # samples x baseline x m
        boxes = BoxDecompositionList(*[FastNondominatedPartitioning(ref_point=point, Y=front) for front in fronts])
        lower, upper = boxes.get_hypercell_bounds()  # samples x boxes x m each; lists of unequal length are padded
        self._n_boxes = lower.shape[1]
        self.register_buffer("_is_empty", (upper <= lower).any(-1))  # padding
        for i in range(len(baselines)):
            levels, index = shared(torch.cat([lower[..., i], upper[..., i]], dim=1))
            self.register_buffer(f"_levels_{i}", levels)
            self.register_buffer(f"_index_{i}", index)

    def forward(self, X: Tensor) -> Tensor:
        """Return the values of ``b x 1 x d`` features: b."""
        chunk = max(1, _CHUNK // self._is_empty.numel())
        return torch.cat([self._log_gain(part) for part in X.split(chunk)])

    def _log_gain(self, X: Tensor) -> Tensor:
        total = torch.zeros((len(X), *self._is_empty.shape), dtype=torch.float64, device=self._is_empty.device)
        for i, baseline in enumerate(self.baselines):
            assert isinstance(baseline, SampledBaseline)
            means, std = baseline.conditional(X)
            std = std[:, None, None]
            log_psi = log_improvement((means[..., None] - getattr(self, f"_levels_{i}")) / std) + std.log()
            index = getattr(self, f"_index_{i}").expand(len(X), -1, -1)
            log_low, log_high = log_psi.gather(2, index).split(self._n_boxes, dim=2)  # -inf: the box is open above
            total += log_low
            total += torch.log1p(-(log_high - log_low).clamp_(max=-1e-12).exp_())
        total = total.masked_fill_(self._is_empty, -math.inf).clamp_(min=-1e15)
        return torch.logsumexp(total.flatten(1), dim=1) - math.log(len(self._is_empty))


def shared(bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct bounds of each row, padded (n x levels), and the index of each bound (n x k) among them."""
    distinct = [torch.unique(row, return_inverse=True) for row in bounds]
    levels = pad_sequence([values for values, _ in distinct], batch_first=True, padding_value=math.inf)
    return levels, torch.stack([index for _, index in distinct])
