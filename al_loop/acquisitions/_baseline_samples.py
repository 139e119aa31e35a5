"""What a model of one objective believes of measured and pending objects, as samples, and of others given each."""

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
        model: of one objective.
        X_baseline: features, n x d.
        z: standard normal numbers, samples x n.
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

    def given(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means of f given each sample, b x samples, and its standard deviations, b, at b x 1 x d rows."""
        mean, prior_variance, cross = self.cross_posterior(X)
        own = torch.linalg.solve_triangular(self._L, cross.T, upper=False)  # l(x) as columns
        variance = prior_variance - own.square().sum(0)
        std = variance.clamp_min(self.cross_posterior.least_variance).sqrt()
        return mean[:, None] + own.T @ self._z.T, std


class Pruning:
    """Tells what of the measured objects may be on the front; of the models last asked about it is remembered."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[ModelList, tuple[Tensor, Tensor]] = WeakKeyDictionary()

    def __call__(self, model: ModelList, X: Tensor, seed: int) -> Tensor:
        """Which rows (n x d) are on the front in any of 256 joint samples of their values: n, bool."""
        known = self._known.get(model)
        if known is None or not torch.equal(known[0], X):
            known = self._known[model] = (X, ever_on_the_front(model, X, seed))
        return known[1]

    def __reduce__(self) -> tuple[type[Pruning], tuple[()]]:
        return Pruning, ()  # what is remembered stays behind


def ever_on_the_front(model: ModelList, X: Tensor, seed: int) -> Tensor:
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


def sampled(
    model: ModelList, X_baseline: Tensor, n_samples: int, seed: int, n_more: int = 0
) -> tuple[list[SampledBaseline], Tensor]:
    """The baseline (n x d) of each objective, and n_more standard normal numbers beside, samples x n_more.

    All are from one quasi-random sequence: several of them would not be independent of one another.
    """
    n, models = len(X_baseline), list(model.models)
    draws = draw_sobol_normal_samples(
        len(models) * n + n_more, n_samples, device=X_baseline.device, dtype=torch.float64, seed=seed
    )
    parts = draws[:, n_more:].split(n, dim=1)
    return [SampledBaseline(one, X_baseline, z) for one, z in zip(models, parts, strict=True)], draws[:, :n_more]


def list_sampler(model: ModelList, X: Tensor, n_samples: int, seed: int) -> ListSampler:
    """BoTorch's samplers for a model of several objectives, which may be of any kinds. X: some rows, n x d."""
    shape = torch.Size([n_samples])
    return ListSampler(*[get_sampler(m.posterior(X[:1]), shape, seed=seed + i) for i, m in enumerate(model.models)])
