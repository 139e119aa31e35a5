"""Exact Gaussian process models whose posteriors never copy the training rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from botorch.models.model import Model
from linear_operator.utils.cholesky import psd_safe_cholesky
from torch import Tensor

from al_loop.surrogates.base import CrossPosterior, NormalModel
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.prior_paths import draw_prior
from al_loop.system import stopping

#: objects whose kernel rows are in memory at once
_CHUNK = 2048
#: the least posterior variance, as a fraction of the signal variance
_LEAST_VARIANCE = 1e-9


@dataclass(frozen=True)
class Training:
    """The training rows of a fitted Gaussian process.

    Args:
        rows: n rows.
        targets: n measurements.
        L: n x n Cholesky factor of R, the training covariance over the signal variance.
        alpha: n numbers R^-1 (targets - mean).
    """

    rows: Rows
    targets: Tensor
    L: Tensor
    alpha: Tensor


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters of a fitted Gaussian process, in the target's unit.

    Args:
        mean: the constant c.
        signal_variance: s.
        noise_variance: of a measurement (the average where it is known one by one).
        log_density: of the hyperparameters, from the fit.
    """

    mean: float
    signal_variance: float
    noise_variance: float
    log_density: float = float("nan")


class ExactGPModel(NormalModel):
    """A fitted Gaussian process whose posterior on b x q x d inputs never copies the training rows.

    With R = L L' the training covariance / s, t(x) the kernel between x and the training rows, and everything in
    the target's unit: mean(x) = c + t(x) alpha and cov(x, x') = s (T(x, x') - t(x) R^-1 t(x')). Nothing here is
    meant to be differentiated with respect to X.

    Args:
        kernel: with k(x, x) = 1.
        training: the training rows.
        hyperparameters: c, s and the noise.
        has_correlated_noise: whether R also differs from the rows' kernel matrix off its diagonal.
    """

    has_fast_cross_posterior: ClassVar[bool] = True

    def __init__(
        self,
        kernel: Kernel,
        training: Training,
        hyperparameters: Hyperparameters,
        has_correlated_noise: bool = False,
    ) -> None:
        super().__init__()
        self.has_correlated_noise = has_correlated_noise
        self.kernel = kernel
        self.mean = hyperparameters.mean
        self.signal_variance = hyperparameters.signal_variance
        self.noise_variance = hyperparameters.noise_variance
        self.log_density = hyperparameters.log_density
        self.register_buffer("_values", training.rows.values)
        self.register_buffer("_squared_norms", training.rows.squared_norms)
        self.register_buffer("train_targets", training.targets)
        self.register_buffer("L", training.L)
        self.register_buffer("alpha", training.alpha)

    @property
    def rows(self) -> Rows:
        """Return the training rows, ready for dot products."""
        return Rows(self._values, self._squared_norms)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Return the constant, the variances and their log density."""
        return Hyperparameters(self.mean, self.signal_variance, self.noise_variance, self.log_density)

    @property
    def train_inputs(self) -> tuple[Tensor]:
        """Return the training rows: (n x d,), float64."""
        return (self._values.double(),)

    def prepare(self, X: Tensor) -> Rows:
        """Return feature rows in the number type of the training rows, flattened: ... x d -> n.

        Raises:
            ValueError: the rows are not as long as those of the training data.
        """
        if X.shape[-1] != self._values.shape[-1]:
            raise ValueError(f"X: expected rows of {self._values.shape[-1]} features, got the shape {tuple(X.shape)}")
        return prepare(X.reshape(-1, X.shape[-1]), self._values.dtype)

    def mean_and_whitened(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the posterior means (n) and L^-1 t(x) as columns (n_train x n) at n rows."""
        t = self.kernel.cross(rows, self.rows)
        return self.mean + t @ self.alpha, torch.linalg.solve_triangular(self.L, t.T, upper=False)

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        means, variances = [], []
        for chunk in torch.split(X, _CHUNK):
            stopping.look()
            mean, whitened = self.mean_and_whitened(self.prepare(chunk))
            means.append(mean)
            reduced = 1 - whitened.square_().sum(0)
            variances.append(self.signal_variance * reduced.clamp_min_(_LEAST_VARIANCE))
        return (torch.cat(means), torch.cat(variances)) if means else (self.alpha[:0], self.alpha[:0])

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        if X.shape[-2] == 1:
            mean, variance = self.mean_and_variance(X.reshape(-1, X.shape[-1]))
            return mean.reshape(X.shape[:-1]), variance.reshape(*X.shape[:-1], 1)
        rows = self.prepare(X)
        mean, whitened = self.mean_and_whitened(rows)
        W = whitened.T.reshape(*X.shape[:-1], -1)
        own = rows.grouped(X.shape[:-1])
        return mean.reshape(X.shape[:-1]), self.covariance(self.kernel.cross(own, own), W, W, is_same=True)

    def noise_at(self, X: Tensor) -> Tensor | float:
        return self.noise_variance

    def covariance(self, T: Tensor, W1: Tensor, W2: Tensor, is_same: bool) -> Tensor:
        """Return the posterior covariance of two groups of rows: ... x q1 x q2.

        Args:
            T: ... x q1 x q2 kernel.
            W1: ... x q1 x n_train whitened rows of the first group.
            W2: ... x q2 x n_train whitened rows of the second group.
            is_same: whether the groups are the same, and their covariance is to be factorised.
        """
        reduced = T - W1 @ W2.transpose(-1, -2)
        if is_same:  # equal rows make it singular
            reduced = reduced + 1e-8 * torch.eye(reduced.shape[-1], dtype=reduced.dtype, device=reduced.device)
        return self.signal_variance * reduced

    def condition_on_pending(self, X_pending: Tensor) -> ExactGPModel:
        rows, noise_ratio = self.prepare(X_pending), self.noise_variance / self.signal_variance
        mean, W = self.mean_and_whitened(rows)
        n, p = len(self.alpha), len(mean)
        L = self.L.new_zeros(n + p, n + p)
        L[:n, :n] = self.L
        L[n:, :n] = W.T
        own = self.kernel.cross(rows, rows) - W.T @ W
        L[n:, n:] = torch.linalg.cholesky(own + noise_ratio * torch.eye(p, dtype=own.dtype, device=own.device))
        training = Training(
            rows=self.rows.followed_by(rows),
            targets=torch.cat([self.train_targets, mean]),
            L=L,
            alpha=torch.cat([self.alpha, torch.zeros_like(mean)]),  # a target at the mean leaves no residual
        )
        return self.with_training(training)

    def rescaled(self, factor: float) -> ExactGPModel:
        other = copy.copy(self)
        other.signal_variance = self.signal_variance * factor**2
        other.noise_variance = self.noise_variance * factor**2
        return other

    def with_training(self, training: Training) -> ExactGPModel:
        """Return the model on other training rows, with the same hyperparameters."""
        return ExactGPModel(self.kernel, training, self.hyperparameters, self.has_correlated_noise)

    def draw_noise(self, z: Tensor) -> Tensor:
        """Return noise of the n training rows in units of sqrt(s), from n standard normal numbers."""
        L: Tensor = self.L
        if not self.has_correlated_noise:  # R = T + noise, and T is 1 on its diagonal
            return (L.square().sum(-1) - 1).clamp_min(0).sqrt() * z
        root: Tensor = psd_safe_cholesky(L @ L.T - self.kernel.cross(self.rows, self.rows))
        return root.matmul(z)

    def jointly_with(self, X_pending: Tensor) -> PendingView:
        return PendingView(self, X_pending)

    def cross_posterior(self, X_fixed: Tensor) -> CrossPosterior:
        return ExactCrossPosterior(self, X_fixed)

    def draw_function(self, n_features: int, seed: int) -> PosteriorPath:
        """Draw a function by pathwise conditioning (Wilson et al. 2020).

        Raises:
            NotImplementedError: no random features of the kernel are known.
        """
        return PosteriorPath(self, n_features, seed)

    def describe(self) -> Mapping[str, float]:
        """Return the mean, standard deviations of signal and noise (target's unit) and the kernel's hyperparameters."""
        return {
            "mean": self.mean,
            "signal_std": self.signal_variance**0.5,
            "noise_std": self.noise_variance**0.5,
            "log_density": self.log_density,
            **self.kernel.hyperparameters(),
        }


class ExactCrossPosterior(CrossPosterior):
    """The joint posterior of an object with fixed rows under an exact GP: the fixed rows are whitened once."""

    model: ExactGPModel
    _mean: Tensor
    _W: Tensor

    def __init__(self, model: ExactGPModel, X_fixed: Tensor) -> None:
        super().__init__(_LEAST_VARIANCE * model.signal_variance)
        self.model = model
        self._rows = model.prepare(X_fixed)
        mean, whitened = model.mean_and_whitened(self._rows)
        self.register_buffer("_mean", mean)
        self.register_buffer("_W", whitened.T.contiguous())

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def covariance(self) -> Tensor:
        model = self.model
        return model.covariance(model.kernel.cross(self._rows, self._rows), self._W, self._W, is_same=True)

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model = self.model
        rows = model.prepare(X)
        mean, whitened = model.mean_and_whitened(rows)
        cross = model.covariance(model.kernel.cross(rows, self._rows), whitened.T, self._W, is_same=False)
        return mean, model.signal_variance * (1 - whitened.square().sum(0)), cross


class PosteriorPath(torch.nn.Module):
    """A function drawn from an exact GP's posterior, by Matheron's rule.

    With a prior draw g and noise e on the training rows, f(x) = mean + sqrt(s) g(x) + t(x) R^-1 (y - mean - sqrt(s)
    (g + e)), in the terms of ``ExactGPModel``: one product with t(x) and no triangular solve.

    Args:
        model: the GP.
        n_features: random features of the prior draw.
        seed: of the draw.
    """

    model: ExactGPModel
    _weights: Tensor

    def __init__(self, model: ExactGPModel, n_features: int, seed: int) -> None:
        super().__init__()
        self.model = model
        rows = model.rows
        self._prior = draw_prior(model.kernel, rows, n_features, seed)
        self._scale = model.signal_variance**0.5
        generator = torch.Generator().manual_seed(seed + 1)
        noise = model.draw_noise(
            torch.randn(len(model.alpha), generator=generator, dtype=torch.float64).to(model.alpha)
        )
        drawn = self._prior(rows) + noise
        correction = torch.cholesky_solve(drawn.unsqueeze(-1), model.L).squeeze(-1)
        self.register_buffer("_weights", model.alpha - self._scale * correction)

    def forward(self, X: Tensor) -> Tensor:
        """Return the function's values at n x d rows: n."""
        model = self.model
        rows = model.prepare(X)
        value: Tensor = model.mean + model.kernel.cross(rows, model.rows) @ self._weights
        value += self._scale * self._prior(rows)
        return value


class PendingView(Model):  # type: ignore[misc]  # BoTorch is untyped here
    """A Gaussian process whose posteriors include p pending rows after the q rows of each batch.

    BoTorch's ``X_pending`` leads to the same posteriors by copying the pending rows into every batch.

    Args:
        model: the GP.
        X_pending: p x d rows.
    """

    def __init__(self, model: ExactGPModel, X_pending: Tensor) -> None:
        super().__init__()
        self.model = model
        rows = model.prepare(X_pending)
        mean, whitened = model.mean_and_whitened(rows)
        self._rows = rows
        self.register_buffer("_mean", mean)
        self.register_buffer("_W", whitened.T.contiguous())
        self.register_buffer("_own", model.covariance(model.kernel.cross(rows, rows), self._W, self._W, is_same=True))

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        return torch.Size()

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """Return the joint posterior of each batch's rows, then the pending ones: ... x q x d -> ... x (q + p) x 1."""
        model, batch, q, p = self.model, X.shape[:-2], X.shape[-2], len(self._mean)
        rows = model.prepare(X)
        mean, whitened = model.mean_and_whitened(rows)
        W = whitened.T
        cross = model.covariance(model.kernel.cross(rows, self._rows), W, self._W, is_same=False)
        if q == 1:
            reduced = 1 - whitened.square().sum(0)
            own = model.signal_variance * reduced.clamp_min(_LEAST_VARIANCE).reshape(*batch, 1, 1)
        else:
            grouped = rows.grouped(X.shape[:-1])
            W = W.reshape(*batch, q, -1)
            own = model.covariance(model.kernel.cross(grouped, grouped), W, W, is_same=True)
        joint = mean.new_empty(*batch, q + p, q + p)
        joint[..., :q, :q] = own
        joint[..., :q, q:] = cross.reshape(*batch, q, p)
        joint[..., q:, :q] = joint[..., :q, q:].transpose(-1, -2)
        joint[..., q:, q:] = self._own
        means = torch.cat([mean.reshape(*batch, q), self._mean.expand(*batch, p)], dim=-1)
        return model.as_posterior(X, means, joint, observation_noise, posterior_transform)
