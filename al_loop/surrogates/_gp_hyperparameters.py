"""Hyperparameters of Gaussian processes by maximum posterior density, with one eigendecomposition and line searches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.kernels.elementary import Kernel, Rows
from al_loop.surrogates.kernels.expression import best_kernel
from al_loop.system import stopping

Array = NDArray[np.float64]

#: noise ratios among which a fit chooses; the lower end keeps every Cholesky factorisation stable
RATIO_BOUNDS = (1e-4, 1e2)
#: rows that choose a kernel's own hyperparameters
_KERNEL_ROWS = 512


@dataclass(frozen=True)
class Fit:
    """Hyperparameters on standardised targets.

    Args:
        mean: the constant.
        signal: signal variance.
        ratio: noise variance / signal variance.
        log_density: log posterior density of the three, up to the priors' constants.
    """

    mean: float
    signal: float
    ratio: float
    log_density: float


@dataclass(frozen=True)
class NoisePrior:
    """The log-normal prior of the noise ratio, and the weight of the signal variance's.

    Args:
        median: of the ratio.
        spread: standard deviation of its log.
        signal_weight: number of measurements that the prior of the signal variance (about 1) counts as.
    """

    median: float
    spread: float
    signal_weight: float = 1.0

    def log_density(self, log_ratio: Array | float) -> Any:
        """Return the log density of a log ratio, up to a constant."""
        return -0.5 * ((log_ratio - np.log(self.median)) / self.spread) ** 2


@dataclass(frozen=True)
class Gram:
    """A kernel's matrix on the training rows, diagonalised: T = U diag(eigenvalues) U'."""

    kernel: Kernel
    T: Tensor
    eigenvalues: Array
    U: Array

    @classmethod
    def of(cls, kernel: Kernel, rows: Rows) -> Gram:
        """Compute and diagonalise the kernel matrix of prepared rows."""
        T = kernel.cross(rows, rows)
        T = (T + T.T) / 2
        eigenvalues, U = torch.linalg.eigh(T)
        return cls(kernel, T, eigenvalues.clamp_min(0).cpu().numpy(), U.cpu().numpy())


def fit_noise_ratio(gram: Gram, z: Array, prior: NoisePrior) -> Fit:
    """Fit the noise ratio; for each ratio the constant and the signal variance are in closed form.

    Args:
        gram: of the training rows.
        z: n standardised targets.
        prior: of the noise ratio.
    """
    rotated, ones = gram.U.T @ z, gram.U.sum(0)

    def at(log_ratio: float) -> Fit:
        spectrum = gram.eigenvalues + np.exp(log_ratio)
        weights = 1 / spectrum
        mean = float((weights * ones) @ rotated / ((weights * ones) @ ones))
        residual = float(weights @ (rotated - mean * ones) ** 2)
        weight = prior.signal_weight
        signal = (residual + weight) / (len(z) + weight)
        density = log_density(len(z), residual, float(np.log(spectrum).sum()), signal, weight)
        return Fit(mean, signal, float(np.exp(log_ratio)), density + float(prior.log_density(log_ratio)))

    return best_ratio(at)


def fit_beside_known_noise(gram: Gram, z: Array, zvar: Array, prior: NoisePrior, start: Fit) -> Fit:
    """Fit signal variance and noise ratio beside known noise variances, by Nelder and Mead's method.

    Args:
        gram: of the training rows.
        z: n standardised targets.
        zvar: their n known noise variances.
        prior: of the noise ratio.
        start: where the search begins.
    """
    T = gram.T.cpu().numpy()

    def at(signal: float, ratio: float) -> Fit:
        L = np.linalg.cholesky(T + np.diag(ratio + zvar / signal))
        both = np.stack([np.ones_like(z), z], axis=1)
        solved: Array = solve_triangular(L, both, lower=True, check_finite=False)
        ones, target = solved.T
        mean = float(ones @ target / (ones @ ones))
        residual = float(((target - mean * ones) ** 2).sum())
        density = log_density(len(z), residual, 2 * float(np.log(np.diag(L)).sum()), signal, prior.signal_weight)
        return Fit(mean, signal, ratio, density + float(prior.log_density(np.log(ratio))))

    return best_signal_and_ratio(at, start)


def choose_kernel(kernel: Kernel, rows: Rows, y: Array, prior: NoisePrior, yvar: Array | None = None) -> Kernel:
    """Return the best of a kernel's choices for a target, by up to 512 random rows (256 beside known noise).

    Args:
        kernel: the kernel, trained on the rows.
        rows: n training rows.
        y: n targets, in any unit.
        prior: of the noise ratio.
        yvar: their known noise variances, or None.
    """
    n_most = _KERNEL_ROWS if yvar is None else _KERNEL_ROWS // 2
    if len(y) > n_most:
        subset = np.sort(np.random.default_rng(0).permutation(len(y))[:n_most])
        rows, y = rows.take(subset), y[subset]
        yvar = None if yvar is None else yvar[subset]
    shift, scale = shift_and_scale(torch.from_numpy(y))
    z = (y - shift) / scale
    kernel = kernel.adapted(rows, z)

    def density(option: Kernel) -> float:
        gram = Gram.of(option, rows)
        fit = fit_noise_ratio(gram, z, prior)
        return (fit if yvar is None else fit_beside_known_noise(gram, z, yvar / scale**2, prior, fit)).log_density

    return best_kernel(kernel, density) if kernel.axes() else kernel


def best_ratio(at: Callable[[float], Fit]) -> Fit:
    """Return the best fit on a line: a grid, against local maxima, then Brent's method about its best point.

    Args:
        at: the best fit at a log noise ratio.
    """
    grid = np.linspace(np.log(RATIO_BOUNDS[0]), np.log(RATIO_BOUNDS[1]), 57)
    best = int(np.argmax([at(log_ratio).log_density for log_ratio in grid]))
    bracket = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(lambda r: -at(float(r)).log_density, bounds=bracket, method="bounded")
    return max(at(float(found.x)), at(float(grid[best])), key=lambda fit: fit.log_density)


def best_signal_and_ratio(at: Callable[[float, float], Fit], start: Fit) -> Fit:
    """Return the best fit over signal variances and noise ratios, by Nelder and Mead's method on their logs.

    Args:
        at: the best fit at a signal variance and noise ratio.
        start: where the search begins.
    """
    lower, upper = np.log(RATIO_BOUNDS)

    def fit(logs: Array) -> Fit:
        stopping.look()
        log_signal, log_ratio = np.clip(logs, -30, 30)
        return at(float(np.exp(log_signal)), float(np.exp(np.clip(log_ratio, lower, upper))))

    def loss(logs: Array) -> float:
        return -fit(logs).log_density

    x0 = np.log(np.array([start.signal, start.ratio], dtype=np.float64))
    found = minimize(loss, x0=x0, method="Nelder-Mead", tol=1e-4)
    return fit(found.x)


def log_density(n: int, residual: float, log_det: float, signal: float, weight: float = 1.0) -> float:
    """Return the log likelihood of n targets plus the log prior of log s.

    The prior of s is scaled inverse chi-squared with w degrees of freedom; as a density of log s, its log is
    -w (log s + 1 / s) / 2.

    Args:
        n: number of targets.
        residual: (z - c)' R^-1 (z - c), for the covariance s R.
        log_det: log |R|.
        signal: s.
        weight: w.
    """
    likelihood = -0.5 * (n * np.log(2 * np.pi * signal) + log_det + residual / signal)
    return float(likelihood - 0.5 * weight * (np.log(signal) + 1 / signal))
