"""Posterior samples at measured and pending objects, and the posterior of other objects given each sample."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from botorch.models.model import ModelList
from botorch.sampling.get_sampler import get_sampler
from botorch.sampling.list_sampler import ListSampler
from botorch.utils.multi_objective.pareto import is_non_dominated
from botorch.utils.sampling import draw_sobol_normal_samples
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from al_loop.surrogates.base import SurrogateModel

_PRUNING_SAMPLES = 256


class SampledBaseline(torch.nn.Module):
    """Values at a baseline, sampled jointly; given a sample, any object's value is normal.

    With C = L L' the baseline's posterior covariance its values are mean + L z, z standard normal, and given them f(x)
    has the mean mean(x) + l(x)'z and the variance var(x) - |l(x)|², l(x) = L^-1 cov(baseline, x).

    Args:
        model: a model of one objective whose joint posteriors are normal.
        X_baseline: n x d features.
        z: samples x n standard normal numbers.
    """

    values: Tensor  #: at the baseline, samples x n
    _L: Tensor
    _z: Tensor

    def __init__(self, model: SurrogateModel, X_baseline: Tensor, z: Tensor) -> None:
        super().__init__()
        self.cross_posterior = model.cross_posterior(X_baseline)
        L = psd_safe_cholesky(self.cross_posterior.covariance)
        self.register_buffer("_L", L)
        self.register_buffer("_z", z)
        self.register_buffer("values", self.cross_posterior.mean + z @ L.T)

    def conditional(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means of f given each sample, b x samples, and its standard deviations, b, at b x 1 x d rows."""
        mean, prior_variance, cross = self.cross_posterior(X)
        own = torch.linalg.solve_triangular(self._L, cross.T, upper=False)  # l(x) as columns
        variance = prior_variance - own.square().sum(0)
        std = variance.clamp_min(self.cross_posterior.least_variance).sqrt()
        return mean[:, None] + own.T @ self._z.T, std


class Pruning:
    """Finds the measured objects that may be on the front, and caches the result for each model."""

    def __init__(self) -> None:
        self._cache: WeakKeyDictionary[ModelList, tuple[Tensor, Tensor]] = WeakKeyDictionary()

    def __call__(self, model: ModelList, X: Tensor, seed: int) -> Tensor:
        """Return whether each of n x d rows is on the front in any of 256 joint samples of their values.

        Args:
            model: one model per objective.
            X: n x d features.
            seed: of the samples.
        """
        entry = self._cache.get(model)
        if entry is None or not torch.equal(entry[0], X):
            entry = self._cache[model] = (X, ever_on_the_front(model, X, seed))
        return entry[1]

    def __reduce__(self) -> tuple[type[Pruning], tuple[()]]:
        return Pruning, ()  # without the cache


def ever_on_the_front(model: ModelList, X: Tensor, seed: int) -> Tensor:
    """Return whether each of n x d rows is on the front in any of 256 joint samples of their values.

    Args:
        model: one model per objective.
        X: n x d features.
        seed: of the samples.
    """
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for one in model.models:
        posterior = one.posterior(X)
        root = psd_safe_cholesky(posterior.distribution.covariance_matrix)
        z = torch.randn(len(X), _PRUNING_SAMPLES, generator=generator, dtype=torch.float64).to(root)
        columns.append(posterior.mean + root @ z)
    values = torch.stack(columns, dim=-1)  # n x samples x m
    is_on_front = torch.zeros(len(X), dtype=torch.bool, device=X.device)
    for sample in values.unbind(1):
        is_on_front |= is_non_dominated(sample)
    return is_on_front


def sampled(
    model: ModelList, X_baseline: Tensor, n_samples: int, seed: int, n_more: int = 0
) -> tuple[list[SampledBaseline], Tensor]:
    """Return the sampled baseline of each objective, and further standard normal numbers, samples x n_more.

    All are from one quasi-random sequence: several sequences would not be independent of one another.

    Args:
        model: one model per objective.
        X_baseline: n x d features.
        n_samples: number of samples.
        seed: of the samples.
        n_more: standard normal numbers per sample, besides those of the baselines.
    """
    n, models = len(X_baseline), list(model.models)
    draws = draw_sobol_normal_samples(
        len(models) * n + n_more, n_samples, device=X_baseline.device, dtype=torch.float64, seed=seed
    )
    parts = draws[:, n_more:].split(n, dim=1)
    return [SampledBaseline(one, X_baseline, z) for one, z in zip(models, parts, strict=True)], draws[:, :n_more]


def list_sampler(model: ModelList, X: Tensor, n_samples: int, seed: int) -> ListSampler:
    """Return BoTorch's samplers for models of several objectives, of any kinds.

    Args:
        model: one model per objective.
        X: n x d features, of which the first row shows the posteriors' types.
        n_samples: number of samples.
        seed: of the samples.
    """
    shape = torch.Size([n_samples])
    return ListSampler(*[get_sampler(m.posterior(X[:1]), shape, seed=seed + i) for i, m in enumerate(model.models)])
