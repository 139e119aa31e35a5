"""The interface of fitted models, with default implementations that work on any BoTorch model of one target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from botorch.models.model import Model
from botorch.posteriors.ensemble import EnsemblePosterior
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultivariateNormal
from linear_operator import to_linear_operator
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from al_loop.system import stopping

#: a function of feature rows: n x d -> n
RowFunction = Callable[[Tensor], Tensor]

#: rows whose joint posterior is computed at once for their marginal means and variances
_CHUNK = 256
#: samples from which covariances are estimated where a posterior has neither a distribution nor members
_N_MOMENT_SAMPLES = 1024
#: the least noise and variance that conditioning assumes, as a fraction of the largest posterior variance
_LEAST_NOISE, _LEAST_VARIANCE = 1e-6, 1e-9


class SurrogateModel(Model, ABC):  # type: ignore[misc]  # BoTorch is untyped here
    """A BoTorch model of one target, with what campaigns and acquisitions need beside ``posterior``.

    Only ``posterior`` has to be defined. Every other method has a default that is built on it, and is overridden where
    a model has a faster or an exact way. Means are in the target's unit; variances are those of the latent function,
    without the noise of a measurement. Nothing needs to be differentiable with respect to X.

    The posterior must be efficient on ``b x q x d`` inputs of any b, since every training step of the sampler computes
    acquisition values of thousands of objects with it.
    """

    #: whether posteriors are normal, so that closed forms hold; acquisitions draw samples otherwise
    has_normal_posterior: bool = True
    #: whether ``cross_posterior`` is fast on thousands of objects, because the fixed rows are not copied for each
    has_fast_cross_posterior: ClassVar[bool] = False
    #: the noise variance of a measurement (the average where it varies), in the target's unit squared
    noise_variance: float = 0.0

    @property
    def num_outputs(self) -> int:
        """Return 1: several targets are several models."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """Return the empty shape: this is one model, not a batch of models."""
        return torch.Size()

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the marginal means and variances at n x d rows: n, n."""
        means, variances = [X.new_empty(0, dtype=torch.float64)], [X.new_empty(0, dtype=torch.float64)]
        for rows in X.split(_CHUNK) if len(X) else ():
            stopping.look()
            posterior = self.posterior(rows)
            means.append(posterior.mean.squeeze(-1).double())
            variances.append(posterior.variance.squeeze(-1).double())
        return torch.cat(means), torch.cat(variances)

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joint means and covariances of the q rows of each batch: ... x q x d -> ... x q, ... x q x q."""
        posterior = self.posterior(X)
        return posterior.mean.squeeze(-1), _covariance(posterior)

    def noise_at(self, X: Tensor) -> Tensor | float:
        """Return the noise variance of a measurement at each of b x 1 x d rows: b, or one number for all."""
        noisy = self.posterior(X, observation_noise=True).variance.flatten()
        noise: Tensor = noisy - self.posterior(X).variance.flatten()
        return noise

    def condition_on_pending(self, X_pending: Tensor) -> SurrogateModel:
        """Return the model as if each of p x d rows had been measured at its posterior mean.

        The mean stays what it is everywhere and the variance shrinks near the rows: the kriging believer (Ginsbourger
        et al. 2010), GP-BUCB (Desautels et al. 2014). The default conditions the normal distribution with the
        posterior's means and covariances.
        """
        return _ConditionedModel(self, X_pending)

    def rescaled(self, factor: float) -> SurrogateModel:
        """Return the model with all standard deviations, noise included, multiplied by a factor, and the same means."""
        return _RescaledModel(self, factor)

    def jointly_with(self, X_pending: Tensor) -> Model:
        """Return a model whose posterior at ... x q x d is the joint one of the q rows and p x d pending rows."""
        return _JointModel(self, X_pending)

    def cross_posterior(self, X_fixed: Tensor) -> CrossPosterior:
        """Return the joint posterior of any single object with m x d fixed rows, as a function of the object."""
        return _CopyingCrossPosterior(self, X_fixed)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        """Draw a function from the posterior: the same function wherever, and however often, it is evaluated.

        Args:
            n_features: number of random features, where the draw is approximated by features.
            seed: of the draw.

        Raises:
            NotImplementedError: the model does not support it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support drawing functions from its posterior")

    def as_posterior(self, X: Tensor, mean: Tensor, covariance: Tensor, noise: bool | Tensor, transform: Any) -> Any:
        """Return the normal posterior with a mean and covariance, as BoTorch represents it.

        Args:
            X: ... x q x d rows, which the transform may need.
            mean: ... x q.
            covariance: ... x q x q, of the latent function.
            noise: whether to add the noise of a measurement, or the variances to add, ... x q x 1.
            transform: a BoTorch ``PosteriorTransform`` to apply, or None.
        """
        if isinstance(noise, Tensor):
            covariance = covariance + torch.diag_embed(noise.squeeze(-1).expand(mean.shape))
        elif noise:
            covariance = covariance + self.noise_variance * torch.eye(mean.shape[-1], dtype=mean.dtype).to(mean.device)
        posterior = GPyTorchPosterior(MultivariateNormal(mean, to_linear_operator(covariance)))
        return posterior if transform is None else transform(posterior=posterior, X=X)

    def describe(self) -> Mapping[str, float]:
        """Return the fitted hyperparameters by name."""
        return {}


class NormalModel(SurrogateModel, ABC):
    """A model that is given by means and covariances; its posteriors are normal distributions with these."""

    @abstractmethod
    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the joint means and covariances of the q rows of each batch: ... x q x d -> ... x q, ... x q x q."""

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return the marginal means and variances at n x d rows: n, n."""
        means, variances = [X.new_empty(0, dtype=torch.float64)], [X.new_empty(0, dtype=torch.float64)]
        for rows in X.split(_CHUNK) if len(X) else ():
            stopping.look()
            mean, covariance = self.mean_and_covariance(rows)
            means.append(mean)
            variances.append(covariance.diagonal())
        return torch.cat(means), torch.cat(variances)

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """Return the joint posterior of the q rows of each batch: ... x q x d -> means ... x q x 1."""
        if X.shape[-2] == 1:
            batch = X.shape[:-2]
            mean, variance = self.mean_and_variance(X.reshape(-1, X.shape[-1]))
            mean, covariance = mean.reshape(*batch, 1), variance.reshape(*batch, 1, 1)
        else:
            mean, covariance = self.mean_and_covariance(X)
        return self.as_posterior(X, mean, covariance, observation_noise, posterior_transform)


class MultiFidelityModel(SurrogateModel, ABC):
    """A model of several fidelities of one oracle, seen at one of them: the highest, unless ``at`` another.

    Rows of d features are taken at this fidelity, rows of d + 1 columns at the fidelity that the last column names.
    """

    @property
    @abstractmethod
    def n_fidelities(self) -> int:
        """Return the number of fidelities; 0 is the cheapest."""

    @abstractmethod
    def at(self, fidelity: int) -> MultiFidelityModel:
        """Return the same model as seen at another fidelity."""

    @abstractmethod
    def correlation(self, X: Tensor, fidelity: int) -> Tensor:
        """Return the squared posterior correlation of a measurement at a fidelity with the value at this one.

        Args:
            X: n x d rows.
            fidelity: of the measurement, whose noise is included.
        """


class CrossPosterior(torch.nn.Module, ABC):
    """The joint posterior of a single object with m fixed rows, as a function of the object.

    Args:
        least_variance: a tiny positive number, below which a variance is rounding error.
    """

    def __init__(self, least_variance: float) -> None:
        super().__init__()
        self.least_variance = least_variance

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Return the means of the fixed rows: m."""

    @property
    @abstractmethod
    def covariance(self) -> Tensor:
        """Return the covariances of the fixed rows: m x m."""

    @abstractmethod
    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean (b), variance (b) and covariances with the fixed rows (b x m) of b x 1 x d objects."""


class _CopyingCrossPosterior(CrossPosterior):
    """The cross posterior of any model: the fixed rows are copied for every object."""

    model: SurrogateModel
    _X_fixed: Tensor

    def __init__(self, model: SurrogateModel, X_fixed: Tensor) -> None:
        super().__init__(1e-12 * float(model.mean_and_variance(X_fixed)[1].max()))
        self.model = model
        self.register_buffer("_X_fixed", X_fixed)

    @property
    def mean(self) -> Tensor:
        return self.model.mean_and_covariance(self._X_fixed)[0]

    @property
    def covariance(self) -> Tensor:
        return self.model.mean_and_covariance(self._X_fixed)[1]

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = torch.cat([X, self._X_fixed.expand(len(X), -1, -1)], dim=-2)
        mean, covariance = self.model.mean_and_covariance(rows)
        return mean[:, 0], covariance[:, 0, 0], covariance[:, 0, 1:]


class _JointModel(Model):  # type: ignore[misc]  # BoTorch is untyped here
    """A model whose posteriors include pending rows after the rows of each batch."""

    def __init__(self, model: SurrogateModel, X_pending: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("_X_pending", X_pending)

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    def posterior(self, X: Tensor, *args: Any, **options: Any) -> Any:
        pending = self._X_pending.expand(*X.shape[:-2], *self._X_pending.shape)
        return self.model.posterior(torch.cat([X, pending], dim=-2), *args, **options)


class _ConditionedModel(NormalModel):
    """A model given measurements at its own posterior mean, by conditioning a normal distribution."""

    def __init__(self, model: SurrogateModel, X_pending: Tensor) -> None:
        super().__init__()
        self.model = model
        self.noise_variance = model.noise_variance
        mean, covariance = model.mean_and_covariance(X_pending)
        self._least = float(covariance.diagonal().max())
        noise = max(model.noise_variance, _LEAST_NOISE * self._least)
        eye = torch.eye(len(mean), dtype=covariance.dtype, device=covariance.device)
        self._noise_std = noise**0.5
        self.register_buffer("_X_pending", X_pending)
        self.register_buffer("_mean", mean)
        self.register_buffer("_L", psd_safe_cholesky(covariance + noise * eye))

    def _joint(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means and covariances of the rows before conditioning, and covariances with the pending rows."""
        q, pending = X.shape[-2], self._X_pending.expand(*X.shape[:-2], *self._X_pending.shape)
        mean, covariance = self.model.mean_and_covariance(torch.cat([X, pending.to(X)], dim=-2))
        return mean[..., :q], covariance[..., :q, :q], covariance[..., :q, q:]

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        mean, own, cross = self._joint(X)
        whitened = torch.linalg.solve_triangular(self._L, cross.transpose(-1, -2), upper=False)
        covariance = own - whitened.transpose(-1, -2) @ whitened
        floor = (_LEAST_VARIANCE * self._least - covariance.diagonal(dim1=-2, dim2=-1)).clamp_min(0)
        return mean, covariance + torch.diag_embed(floor)

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        function = self.model.draw_function(n_features, seed)
        z = torch.randn(len(self._mean), generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
        residual = self._mean - function(self._X_pending) - self._noise_std * z.to(self._mean)
        weights = torch.cholesky_solve(residual.unsqueeze(-1), self._L).squeeze(-1)
        return _ConditionedFunction(self, function, weights)

    def cross_covariance(self, X: Tensor) -> Tensor:
        """Return the covariances of n x d rows with the pending ones, before conditioning: n x p."""
        return torch.cat([self._joint(rows)[2] for rows in X.split(_CHUNK)])

    def describe(self) -> Mapping[str, float]:
        return self.model.describe()


class _ConditionedFunction:
    """A draw from a model, corrected by Matheron's rule to agree with measurements."""

    def __init__(self, model: _ConditionedModel, function: RowFunction, weights: Tensor) -> None:
        self._model, self._function, self._weights = model, function, weights

    def __call__(self, X: Tensor) -> Tensor:
        return self._function(X) + self._model.cross_covariance(X) @ self._weights


class _RescaledModel(NormalModel):
    """A model with other standard deviations and the same means."""

    def __init__(self, model: SurrogateModel, factor: float) -> None:
        super().__init__()
        self.model, self._factor = model, factor
        self.noise_variance = factor**2 * model.noise_variance

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.model.mean_and_variance(X)
        return mean, self._factor**2 * variance

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        mean, covariance = self.model.mean_and_covariance(X)
        return mean, self._factor**2 * covariance

    def draw_function(self, n_features: int, seed: int) -> RowFunction:
        return _RescaledFunction(self.model, self.model.draw_function(n_features, seed), self._factor)

    def describe(self) -> Mapping[str, float]:
        return self.model.describe()


class _RescaledFunction:
    """A draw from a model, with its distance from the mean multiplied by a factor."""

    def __init__(self, model: SurrogateModel, function: RowFunction, factor: float) -> None:
        self._model, self._function, self._factor = model, function, factor

    def __call__(self, X: Tensor) -> Tensor:
        mean, _ = self._model.mean_and_variance(X)
        return mean + self._factor * (self._function(X) - mean)


def _covariance(posterior: Any) -> Tensor:
    """Return the covariances of a BoTorch posterior of one target: ... x q x q."""
    distribution = getattr(posterior, "distribution", None)
    if distribution is not None:
        covariance: Tensor = distribution.covariance_matrix
        return covariance
    if isinstance(posterior, EnsemblePosterior):
        weights = posterior.weights.to(posterior.values)
        deviations = (posterior.values - posterior.mean.unsqueeze(-3)).squeeze(-1)  # ... x members x q
        unbiased = (1 - weights.square().sum()).clamp_min(1e-12)  # as in EnsemblePosterior.variance
        weighted: Tensor = (deviations * weights.unsqueeze(-1)).transpose(-1, -2) @ deviations / unbiased
        return weighted
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        samples = posterior.rsample(torch.Size([_N_MOMENT_SAMPLES])).squeeze(-1)
    deviations = (samples - samples.mean(0)).movedim(0, -2)
    estimate: Tensor = deviations.transpose(-1, -2) @ deviations / (_N_MOMENT_SAMPLES - 1)
    return estimate
