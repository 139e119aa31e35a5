"""A Gaussian process of several fidelities of one oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from botorch.models.model import Model
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from torch import Tensor

from al_loop.surrogates._fidelity_model import Fidelities, FidelityModel, FidelityScales
from al_loop.surrogates._gp_hyperparameters import RATIO_BOUNDS, Array, NoisePrior, choose_kernel
from al_loop.surrogates._gp_model import Hyperparameters, Training
from al_loop.surrogates.base import Surrogate, check_data, fit_each_target
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import Columns, kernel_of
from al_loop.system import stopping

Indices = NDArray[np.int64]

#: rows that the hyperparameters are fitted to: all of the target fidelity's (up to half of them), and others
_ROWS = 600
#: spread of the prior of the log noise ratio while the kernel is chosen
_KERNEL_NOISE_SPREAD = 1.5


class MultiFidelityGP(Surrogate):
    """Gaussian process over objects and fidelities, which learns how far cheap measurements predict expensive ones.

    The value at fidelity f is c_f + b_f g_f(x) + noise, with g_f of one variance s and correlation rho^|f - g| between
    fidelities, the cheapest being 0 (intrinsic coregionalisation, Alvarez et al. 2012, with an autoregressive matrix
    as of Kennedy & O'Hagan 2000). The constants are found by generalised least squares, s in closed form, and rho, the
    scales b_f and the noise ratio by maximum posterior density, for all fidelities together: the few expensive
    measurements are of objects that looked good, so that their own mean and spread would mislead.

    X has one more column than the features: the index of the fidelity, which the campaign adds.

    Args:
        kernel: of the objects, as in ``gp``; by default the natural one of the campaign's features.
        n_fidelities: number of fidelities, which the campaign sets.
        noise_ratio: median of the prior of noise variance / signal variance.
        noise_spread: standard deviation of the prior of its log.
        correlation: median of the prior of rho.
    """

    kind = "multi_fidelity"
    models_fidelities: ClassVar[bool] = True

    def __init__(
        self,
        kernel: str = "tanimoto",
        n_fidelities: Annotated[int, Field(ge=1)] = 2,
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        correlation: Annotated[float, Field(gt=0, lt=1)] = 0.8,
    ) -> None:
        kernel_of(kernel)  # raises where it cannot be parsed
        self.kernel = kernel
        self.n_fidelities = n_fidelities
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.correlation = correlation

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit n x (d + 1) rows: a ``FidelityModel`` of the highest fidelity, or a ``ModelList``.

        Yvar adds known noise.

        Raises:
            ValueError: the last column is not the index of a fidelity.
        """
        check_data(X, Y, Yvar)
        index = X[:, -1]
        if bool((index != index.round()).any()) or float(index.min()) < 0 or float(index.max()) >= self.n_fidelities:
            raise ValueError(f"the last column of X must be the index of one of {self.n_fidelities} fidelities")
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> FidelityModel:
        rows, f = prepare(X), X[:, -1].long().cpu().numpy()
        target = y.cpu().numpy()
        known_noise = np.zeros(len(f)) if yvar is None else yvar.cpu().numpy()
        base = self._base_kernel(X, rows, f, target)
        subset = self._subset(f)
        T = base.cross(rows.take(subset), rows.take(subset)).cpu().numpy()
        search = self._search(T, f[subset], target[subset], known_noise[subset])
        kernel = Fidelities(base, search.rho)
        R = kernel.cross(rows, rows)
        R = (R + R.T) / 2
        solved = self._solve(R.cpu().numpy(), f, target, known_noise, search)
        L = torch.linalg.cholesky(R + torch.diag(torch.from_numpy(solved.noise)).to(R))
        z = torch.from_numpy((target - solved.constants[f]) / search.scales[f]).to(R)
        top = self.n_fidelities - 1
        ratios = [float(solved.noise[f == k].mean()) if (f == k).any() else search.ratio for k in range(top + 1)]
        alpha = search.scales[top] * torch.cholesky_solve(z.unsqueeze(-1), L).squeeze(-1)
        hyperparameters = Hyperparameters(
            mean=float(solved.constants[top]),
            signal_variance=solved.signal * float(search.scales[top]) ** 2,
            noise_variance=solved.signal * ratios[top] * float(search.scales[top]) ** 2,
            log_density=solved.log_density,
        )
        scales = FidelityScales(tuple(solved.constants.tolist()), tuple(search.scales.tolist()), tuple(ratios))
        return FidelityModel(kernel, Training(rows, y, L, alpha), hyperparameters, scales, fidelity=top)

    def _base_kernel(self, X: Tensor, rows: Rows, f: Indices, y: Array) -> Kernel:
        """Return the kernel of the objects, chosen at the fidelity with most measurements."""
        kernel = Columns(kernel_of(self.kernel), 0, -1).trained(X)
        most = np.bincount(f).argmax()
        prior = NoisePrior(self.noise_ratio, _KERNEL_NOISE_SPREAD)
        return choose_kernel(kernel, rows.take(np.flatnonzero(f == most)), y[f == most], prior)

    def _subset(self, f: Indices) -> Indices:
        """Return the rows for the search: up to a half of the highest fidelity, and random others."""
        if len(f) <= _ROWS:
            return np.arange(len(f))
        order = np.random.default_rng(0).permutation(len(f))
        high = order[f[order] == f.max()][: _ROWS // 2]
        others = order[~np.isin(order, high)][: _ROWS - len(high)]
        subset: Indices = np.sort(np.concatenate([high, others]))
        return subset

    def _search(self, T: Array, f: Indices, y: Array, known_noise: Array) -> _Hyper:
        """Return the hyperparameters of largest posterior density, by Nelder and Mead's method from two starts."""
        spread = _spread(y) or 1.0
        own = np.array([_spread(y[f == k]) if (f == k).sum() > 2 else 0.0 for k in range(self.n_fidelities)])
        own = np.where(own > 0, own, spread)
        log_own = np.log(own)
        apart = np.abs(f[:, None] - f[None])

        def hyper(v: Array) -> _Hyper:
            ratio = float(np.exp(np.clip(v[0], *np.log(RATIO_BOUNDS))))
            rho = float(1 / (1 + np.exp(-np.clip(v[1], -6, 8))))
            return _Hyper(rho, ratio, np.exp(np.clip(v[2:], log_own - 5, log_own + 5)))

        def loss(v: Array) -> float:
            stopping.look()
            h = hyper(v)
            prior = -0.5 * ((math.log(h.ratio) - math.log(self.noise_ratio)) / self.noise_spread) ** 2
            prior -= 0.5 * ((v[1] - math.log(self.correlation / (1 - self.correlation))) / 1.5) ** 2
            prior -= 0.5 * float(((v[2:] - log_own) ** 2).sum())
            return float(-self._solve(T * h.rho**apart, f, y, known_noise, h).log_density - prior)

        starts = [1.4] if len(np.unique(f)) == 1 else [0.5, 2.5]
        found = []
        for logit in starts:
            x0 = np.concatenate([[math.log(self.noise_ratio), logit], log_own])
            simplex = np.vstack([x0, x0 + 0.7 * np.eye(len(x0))])
            options: Any = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-3, "maxfev": 60 * len(x0)}
            found.append(minimize(loss, x0=x0, method="Nelder-Mead", options=options))
        return hyper(min(found, key=lambda r: r.fun).x)

    def _solve(self, R: Array, f: Indices, y: Array, known_noise: Array, h: _Hyper) -> _Solved:
        """Return the best constants and signal variance, and the log density of y.

        Args:
            R: n x n kernel matrix, with rho.
            f: n fidelities.
            y: n targets.
            known_noise: n known noise variances.
            h: the other hyperparameters.
        """
        n = len(y)
        scale = h.scales[f]
        signal = 1.0
        for _ in range(3 if known_noise.any() else 1):  # known noise is relative to the signal, which depends on it
            noise = h.ratio + known_noise / scale**2 / signal
            L = np.linalg.cholesky(R + np.diag(noise))
            present = np.unique(f)
            H = (f[:, None] == present[None]).astype(float) / scale[:, None]
            both = solve_triangular(L, np.column_stack([H, y / scale]), lower=True, check_finite=False)
            A, b = both[:, :-1], both[:, -1]
            c, *_ = np.linalg.lstsq(A, b, rcond=None)
            residual = float(((b - A @ c) ** 2).sum())
            signal = (residual + 1) / (n + 1)
        log_det = 2 * float(np.log(np.diag(L)).sum())
        density = -0.5 * (n * math.log(2 * math.pi * signal) + log_det + residual / signal)
        density -= float(np.log(scale).sum()) + 0.5 * (math.log(signal) + 1 / signal)
        constants = np.empty(self.n_fidelities)
        for k in range(self.n_fidelities):  # without measurements at a fidelity: that of the nearest
            constants[k] = c[int(np.argmin(np.abs(present - k)))]
        return _Solved(constants, signal, noise, density)


def _spread(y: Array) -> float:
    """Return the standard deviation, 0 for values that differ by rounding only."""
    spread = float(y.std())
    return spread if spread > 1e-12 * max(1.0, float(np.abs(y).max())) else 0.0


@dataclass(frozen=True)
class _Hyper:
    rho: float
    ratio: float
    scales: Array


@dataclass(frozen=True)
class _Solved:
    constants: Array
    signal: float
    noise: Array
    log_density: float
