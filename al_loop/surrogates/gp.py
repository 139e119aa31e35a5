"""An exact Gaussian process for a few thousand measurements, and the BoTorch model that it fits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from botorch.models.model import Model, ModelList
from linear_operator.utils.cholesky import psd_safe_cholesky
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import solve_triangular
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import CrossPosterior, NormalModel, Surrogate, check_data
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import best_kernel, kernel_of
from al_loop.surrogates.kernels.prior_paths import draw_prior

Array = NDArray[np.float64]

#: noise ratios that a fit may choose; the lower end keeps every Cholesky factorisation stable
_RATIO_BOUNDS = (1e-4, 1e2)
#: rows that choose a kernel's own hyperparameters
_KERNEL_ROWS = 512
#: objects whose kernel rows are held in memory at once
_CHUNK = 2048
#: the least posterior variance, as a fraction of the signal variance
_LEAST_VARIANCE = 1e-9


class ExactGP(Surrogate):
    """Exact Gaussian process on fingerprints, sequences or descriptors, for up to a few thousand measurements.

    On standardised targets: y = c + f(x) + noise, f ~ GP(0, s T), noise ~ N(0, s r), with T the kernel. For each noise
    ratio r the constant c (generalised least squares) and the signal variance s are in closed form once T is
    diagonalised, so that one eigendecomposition and a search on a line find the maximum of the posterior density of
    (c, log s, log r). The priors are weak: c flat; r log-normal; s scaled inverse chi-squared with one degree of
    freedom and scale 1, which counts as much as one more measurement and keeps s positive on equal targets.

    Args:
        kernel: left out, the natural one of the campaign's features. Else names joined by + and *, each with the
            columns that it looks at where not all: ``tanimoto``, ``minmax`` (counts), ``hamming`` (one-hot letters),
            ``rbf``, ``matern12``, ``matern32``, ``matern52`` (descriptors, which are brought to one scale); such as
            ``tanimoto[0:2048] + matern52[2048:2256]``. Lengthscales and weights are fitted.
        noise_ratio: median of the prior of r, noise variance / signal variance.
        noise_spread: standard deviation of the prior of log r.
    """

    kind = "gp"

    def __init__(
        self,
        kernel: str = "tanimoto",
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
    ) -> None:
        kernel_of(kernel)  # refuses what it cannot read
        self.kernel = kernel
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits each column of Y by itself: an ``ExactGPModel``, or a ``ModelList`` of them where m > 1.

        Yvar adds known noise to the fitted one (then s and r are searched for together).
        """
        check_data(X, Y, Yvar)
        rows, kernel = prepare(X), kernel_of(self.kernel).trained(X)
        grams: dict[int, Gram] = {}
        models = []
        for column in range(Y.shape[1]):
            y = Y[:, column].double().cpu().numpy()
            yvar = None if Yvar is None else Yvar[:, column].double().cpu().numpy()
            chosen = self.best_kernel(kernel, rows, y, yvar)
            if id(chosen) not in grams:  # which keeps the kernel alive, and its id its own
                grams[id(chosen)] = Gram.of(chosen, rows)
            models.append(self._fit_column(grams[id(chosen)], rows, y, yvar))
        return models[0] if len(models) == 1 else ModelList(*models)

    def best_kernel(self, kernel: Kernel, rows: Rows, y: Array, yvar: Array | None = None) -> Kernel:
        """The best of a kernel's choices for a target (n), by up to 512 random rows (256 beside known noise)."""
        if not kernel.axes():
            return kernel
        most = _KERNEL_ROWS if yvar is None else _KERNEL_ROWS // 2
        if len(y) > most:
            some = np.sort(np.random.default_rng(0).permutation(len(y))[:most])
            rows, y = Rows(rows.values[some], rows.squared_norms[some]), y[some]
            yvar = None if yvar is None else yvar[some]
        shift, spread = shift_and_scale(torch.from_numpy(y))
        z = (y - shift) / spread

        def density(option: Kernel) -> float:
            gram = Gram.of(option, rows)
            fit = self._best_ratio(gram, z)
            return (fit if yvar is None else self._with_known_noise(gram, z, yvar / spread**2, fit)).log_density

        return best_kernel(kernel, density)

    def _fit_column(self, gram: Gram, rows: Rows, y: Array, yvar: Array | None) -> ExactGPModel:
        shift, scale = shift_and_scale(torch.from_numpy(y))
        z = (y - shift) / scale
        fit = self._best_ratio(gram, z)
        noise = np.full(len(z), fit.ratio)
        if yvar is not None:
            fit = self._with_known_noise(gram, z, yvar / scale**2, fit)
            noise = fit.ratio + yvar / scale**2 / fit.signal
        R = gram.T.clone()
        R.diagonal().add_(torch.from_numpy(noise).to(R.device))
        L = torch.linalg.cholesky(R)
        residual = torch.from_numpy(scale * (z - fit.mean)).to(gram.T.device)
        return ExactGPModel(
            kernel=gram.kernel,
            rows=rows,
            targets=torch.from_numpy(y).to(gram.T.device),
            L=L,
            alpha=torch.cholesky_solve(residual.unsqueeze(-1), L).squeeze(-1),
            mean=shift + scale * fit.mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
        )

    def _log_prior(self, log_ratio: Array | float) -> Any:
        return -0.5 * ((log_ratio - np.log(self.noise_ratio)) / self.noise_spread) ** 2

    def _best_ratio(self, gram: Gram, z: Array) -> Fit:
        """The best noise ratio, everything else being the best for it."""
        rotated, ones = gram.U.T @ z, gram.U.sum(0)

        def at(log_ratio: float) -> Fit:
            spectrum = gram.eigenvalues + np.exp(log_ratio)
            weights = 1 / spectrum
            mean = float((weights * ones) @ rotated / ((weights * ones) @ ones))
            residual = float(weights @ (rotated - mean * ones) ** 2)
            signal = (residual + 1) / (len(z) + 1)
            density = log_density(len(z), residual, float(np.log(spectrum).sum()), signal)
            return Fit(mean, signal, float(np.exp(log_ratio)), density + float(self._log_prior(log_ratio)))

        return best_ratio(at)

    def _with_known_noise(self, gram: Gram, z: Array, zvar: Array, start: Fit) -> Fit:
        """The best signal variance and noise ratio beside known noise variances, by Nelder and Mead's method."""
        T = gram.T.cpu().numpy()

        def at(signal: float, ratio: float) -> Fit:
            L = np.linalg.cholesky(T + np.diag(ratio + zvar / signal))
            both = np.stack([np.ones_like(z), z], axis=1)
            solved: Array = solve_triangular(L, both, lower=True, check_finite=False)
            ones, target = solved.T
            mean = float(ones @ target / (ones @ ones))
            residual = float(((target - mean * ones) ** 2).sum())
            density = log_density(len(z), residual, 2 * float(np.log(np.diag(L)).sum()), signal)
            return Fit(mean, signal, ratio, density + float(self._log_prior(np.log(ratio))))

        return best_signal_and_ratio(at, start)


@dataclass(frozen=True)
class Fit:
    """Hyperparameters on standardised targets, and their log posterior density (up to the priors' constants)."""

    mean: float
    signal: float
    ratio: float
    log_density: float


@dataclass(frozen=True)
class Gram:
    """A kernel's matrix on the training rows, diagonalised: T = U diag(eigenvalues) U'."""

    kernel: Kernel
    T: Tensor
    eigenvalues: Array
    U: Array

    @classmethod
    def of(cls, kernel: Kernel, rows: Rows) -> Gram:
        """The Gram matrix of prepared rows."""
        T = kernel.cross(rows, rows)
        T = (T + T.T) / 2
        eigenvalues, U = torch.linalg.eigh(T)
        return cls(kernel, T, eigenvalues.clamp_min(0).cpu().numpy(), U.cpu().numpy())


def best_ratio(at: Callable[[float], Fit]) -> Fit:
    """The best fit on a line of log noise ratios: a grid against local maxima, then Brent's method about its best."""
    grid = np.linspace(np.log(_RATIO_BOUNDS[0]), np.log(_RATIO_BOUNDS[1]), 57)
    best = int(np.argmax([at(log_ratio).log_density for log_ratio in grid]))
    bracket = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(lambda r: -at(float(r)).log_density, bounds=bracket, method="bounded")
    return max(at(float(found.x)), at(float(grid[best])), key=lambda fit: fit.log_density)


def best_signal_and_ratio(at: Callable[[float, float], Fit], start: Fit) -> Fit:
    """The best fit over signal variances and noise ratios, by Nelder and Mead's method on their logs."""
    lower, upper = np.log(_RATIO_BOUNDS)

    def fit(logs: Array) -> Fit:
        log_signal, log_ratio = np.clip(logs, -30, 30)
        return at(float(np.exp(log_signal)), float(np.exp(np.clip(log_ratio, lower, upper))))

    def loss(logs: Array) -> float:
        return -fit(logs).log_density

    x0 = np.log(np.array([start.signal, start.ratio], dtype=np.float64))
    found = minimize(loss, x0=x0, method="Nelder-Mead", tol=1e-4)
    return fit(found.x)


def log_density(n: int, residual: float, log_det: float, signal: float) -> float:
    """Log likelihood of n targets plus the log prior of log s.

    residual: (z - c)' R^-1 (z - c); log_det: log |R|, for the covariance s R. The prior of s is scaled inverse
    chi-squared with one degree of freedom, as a density of log s: -(log s + 1 / s) / 2.
    """
    likelihood = -0.5 * (n * np.log(2 * np.pi * signal) + log_det + residual / signal)
    return float(likelihood - 0.5 * (np.log(signal) + 1 / signal))


class ExactGPModel(NormalModel):
    """A fitted Gaussian process whose posterior on b x q x d inputs never copies the training rows.

    With R = L L' the training covariance / s, t(x) the kernel between x and the training rows, and everything in
    the target's unit: mean(x) = c + t(x) alpha and cov(x, x') = s (T(x, x') - t(x) R^-1 t(x')). Nothing here is
    meant to be differentiated with respect to X.

    Args:
        kernel: with k(x, x) = 1.
        rows: the training rows, n.
        targets: what was measured, n.
        L: Cholesky factor of R, n x n.
        alpha: R^-1 (targets - mean), n.
        mean: c.
        signal_variance: s.
        noise_variance: that of an observation (the average where it is known one by one).
        log_density: of the hyperparameters, from the fit.
        has_correlated_noise: whether R differs from the rows' kernel matrix off its diagonal, too.
    """

    has_fast_cross_posterior: ClassVar[bool] = True

    def __init__(
        self,
        kernel: Kernel,
        rows: Rows,
        targets: Tensor,
        L: Tensor,
        alpha: Tensor,
        mean: float,
        signal_variance: float,
        noise_variance: float,
        log_density: float = float("nan"),
        has_correlated_noise: bool = False,
    ) -> None:
        super().__init__()
        self.has_correlated_noise = has_correlated_noise
        self.kernel = kernel
        self.mean = mean
        self.signal_variance = signal_variance
        self.noise_variance = noise_variance
        self.log_density = log_density
        self.register_buffer("_values", rows.values)
        self.register_buffer("_squared_norms", rows.squared_norms)
        self.register_buffer("train_targets", targets)
        self.register_buffer("L", L)
        self.register_buffer("alpha", alpha)

    @property
    def rows(self) -> Rows:
        """The training rows, ready for dot products."""
        return Rows(self._values, self._squared_norms)

    @property
    def train_inputs(self) -> tuple[Tensor]:
        """The training rows: (n x d,), float64."""
        return (self._values.double(),)

    def prepare(self, X: Tensor) -> Rows:
        """Feature rows in the number type of the training rows, flattened: ... x d -> n."""
        return prepare(X.reshape(-1, X.shape[-1]), self._values.dtype)

    def mean_and_whitened(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Posterior means (n) and L^-1 t(x) as columns (n_train x n)."""
        t = self.kernel.cross(rows, self.rows)
        return self.mean + t @ self.alpha, torch.linalg.solve_triangular(self.L, t.T, upper=False)

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of f at each row by itself: n x d -> n, n, in the target's unit (squared)."""
        means, variances = [], []
        for chunk in torch.split(X, _CHUNK):
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
        """Posterior covariance from the kernel T (... x q1 x q2) and whitened rows (... x q x n_train)."""
        reduced = T - W1 @ W2.transpose(-1, -2)
        if is_same:  # equal rows make it singular: what follows factorises it
            reduced = reduced + 1e-8 * torch.eye(reduced.shape[-1], dtype=reduced.dtype, device=reduced.device)
        return self.signal_variance * reduced

    def condition_on_pending(self, X_pending: Tensor) -> ExactGPModel:
        """The model as if each pending row (p x d) had been measured at its posterior mean.

        The mean stays what it is everywhere and the variance shrinks near the rows (GP-BUCB, Desautels et al. 2014).
        """
        rows, noise_ratio = self.prepare(X_pending), self.noise_variance / self.signal_variance
        mean, W = self.mean_and_whitened(rows)
        n, p = len(self.alpha), len(mean)
        L = self.L.new_zeros(n + p, n + p)
        L[:n, :n] = self.L
        L[n:, :n] = W.T
        own = self.kernel.cross(rows, rows) - W.T @ W
        L[n:, n:] = torch.linalg.cholesky(own + noise_ratio * torch.eye(p, dtype=own.dtype, device=own.device))
        return self.with_rows(
            rows=Rows(torch.cat([self._values, rows.values]), torch.cat([self._squared_norms, rows.squared_norms])),
            targets=torch.cat([self.train_targets, mean]),
            L=L,
            alpha=torch.cat([self.alpha, torch.zeros_like(mean)]),  # a target at the mean leaves no residual
        )

    def rescaled(self, factor: float) -> ExactGPModel:
        """The model with all standard deviations multiplied, and the same means."""
        other = copy.copy(self)
        other.signal_variance = self.signal_variance * factor**2
        other.noise_variance = self.noise_variance * factor**2
        return other

    def with_rows(self, rows: Rows, targets: Tensor, L: Tensor, alpha: Tensor) -> ExactGPModel:
        """The model on other training rows, with the same hyperparameters."""
        return ExactGPModel(
            kernel=self.kernel,
            rows=rows,
            targets=targets,
            L=L,
            alpha=alpha,
            mean=self.mean,
            signal_variance=self.signal_variance,
            noise_variance=self.noise_variance,
            log_density=self.log_density,
            has_correlated_noise=self.has_correlated_noise,
        )

    def draw_noise(self, z: Tensor) -> Tensor:
        """The noise of the training rows in units of sqrt(s), from as many standard normal numbers: n -> n."""
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
    """The joint posterior of an object with fixed rows under an exact GP: whitened rows are computed once."""

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
    """A Gaussian process seen together with pending rows: ... x q x d -> a posterior of q + p values.

    It gives what BoTorch's ``X_pending`` gives by copying the pending rows into every t-batch, without the copies.
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
        """As the model's."""
        return 1

    @property
    def batch_shape(self) -> torch.Size:
        """As the model's."""
        return torch.Size()

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: Any = None,
    ) -> Any:
        """The joint posterior of the rows of each t-batch, then the pending ones: ... x q x d -> ... x (q + p) x 1."""
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
