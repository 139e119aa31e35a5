"""A Gaussian process of several fidelities of one oracle."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
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

from al_loop.surrogates.base import MultiFidelityModel, Surrogate, check_data, fit_each_target
from al_loop.surrogates.gp import Array, ExactGP, ExactGPModel
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import Columns, kernel_of

Indices = NDArray[np.int64]

#: rows that the hyperparameters are fitted to: all of the target fidelity's (up to half of them), and others
_ROWS = 600
_RATIOS = (1e-4, 1e2)


class MultiFidelityGP(Surrogate):
    """Gaussian process over objects and fidelities: cheap answers tell of expensive ones as far as the data say so.

    The value at fidelity f is c_f + b_f g_f(x) + noise, with g_f of one variance s and correlation rho^|f - g| between
    fidelities, the cheapest being 0 (intrinsic coregionalisation, Alvarez et al. 2012, with an autoregressive matrix
    as of Kennedy & O'Hagan 2000). The constants are found by generalised least squares, s in closed form, and rho, the
    scales b_f and the noise ratio by maximum posterior density, for all fidelities together: the few expensive
    answers are of objects that looked good, so that their own mean and spread would mislead.

    X has one column more than the features: the index of the fidelity.

    Args:
        kernel: of the objects, as of ``gp``; left out, the natural one of the campaign's features.
        n_fidelities: how many there are; the campaign says it.
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
        kernel_of(kernel)  # refuses what it cannot read
        self.kernel = kernel
        self.n_fidelities = n_fidelities
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.correlation = correlation

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits X (n x (d + 1)): a ``FidelityModel`` of the highest fidelity, or a ``ModelList``. Yvar adds known noise.

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
        known = np.zeros(len(f)) if yvar is None else yvar.cpu().numpy()
        base = self._base_kernel(X, rows, f, target)
        some = self._picked(f)
        T = base.cross(_at(rows, some), _at(rows, some)).cpu().numpy()
        found = self._search(T, f[some], target[some], known[some])
        kernel = Fidelities(base, found.rho)
        R = kernel.cross(rows, rows)
        R = (R + R.T) / 2
        solved = self._solve(R.cpu().numpy(), f, target, known, found)
        L = torch.linalg.cholesky(R + torch.diag(torch.from_numpy(solved.noise)).to(R))
        z = torch.from_numpy((target - solved.constants[f]) / found.scales[f]).to(R)
        top = self.n_fidelities - 1
        ratios = [float(solved.noise[f == k].mean()) if (f == k).any() else found.ratio for k in range(top + 1)]
        return FidelityModel(
            kernel=kernel,
            rows=rows,
            targets=y,
            L=L,
            alpha=found.scales[top] * torch.cholesky_solve(z.unsqueeze(-1), L).squeeze(-1),
            mean=float(solved.constants[top]),
            signal_variance=solved.signal * float(found.scales[top]) ** 2,
            noise_variance=solved.signal * ratios[top] * float(found.scales[top]) ** 2,
            log_density=solved.log_density,
            constants=tuple(solved.constants.tolist()),
            scales=tuple(found.scales.tolist()),
            noise_ratios=tuple(ratios),
            fidelity=top,
        )

    def _base_kernel(self, X: Tensor, rows: Rows, f: Indices, y: Array) -> Kernel:
        """The kernel of the objects, chosen on the fidelity of which most is known."""
        kernel = Columns(kernel_of(self.kernel), 0, -1).trained(X)
        most = np.bincount(f).argmax()
        return ExactGP(noise_ratio=self.noise_ratio).best_kernel(
            kernel, _at(rows, np.flatnonzero(f == most)), y[f == most]
        )

    def _picked(self, f: Indices) -> Indices:
        """Rows for the search: those of high fidelities first, up to a half, and random others."""
        if len(f) <= _ROWS:
            return np.arange(len(f))
        order = np.random.default_rng(0).permutation(len(f))
        high = order[f[order] == f.max()][: _ROWS // 2]
        others = order[~np.isin(order, high)][: _ROWS - len(high)]
        picked: Indices = np.sort(np.concatenate([high, others]))
        return picked

    def _search(self, T: Array, f: Indices, y: Array, known: Array) -> _Hyper:
        """The hyperparameters of largest posterior density, by Nelder and Mead's method from two starts."""
        spread = _spread(y) or 1.0
        own = np.array([_spread(y[f == k]) if (f == k).sum() > 2 else 0.0 for k in range(self.n_fidelities)])
        own = np.where(own > 0, own, spread)
        log_own = np.log(own)
        apart = np.abs(f[:, None] - f[None])

        def hyper(v: Array) -> _Hyper:
            ratio = float(np.exp(np.clip(v[0], *np.log(_RATIOS))))
            rho = float(1 / (1 + np.exp(-np.clip(v[1], -6, 8))))
            return _Hyper(rho, ratio, np.exp(np.clip(v[2:], log_own - 5, log_own + 5)))

        def loss(v: Array) -> float:
            h = hyper(v)
            prior = -0.5 * ((math.log(h.ratio) - math.log(self.noise_ratio)) / self.noise_spread) ** 2
            prior -= 0.5 * ((v[1] - math.log(self.correlation / (1 - self.correlation))) / 1.5) ** 2
            prior -= 0.5 * float(((v[2:] - log_own) ** 2).sum())
            return float(-self._solve(T * h.rho**apart, f, y, known, h).log_density - prior)

        starts = [1.4] if len(np.unique(f)) == 1 else [0.5, 2.5]
        found = []
        for logit in starts:
            x0 = np.concatenate([[math.log(self.noise_ratio), logit], log_own])
            simplex = np.vstack([x0, x0 + 0.7 * np.eye(len(x0))])
            options: Any = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-3, "maxfev": 60 * len(x0)}
            found.append(minimize(loss, x0=x0, method="Nelder-Mead", options=options))
        return hyper(min(found, key=lambda r: r.fun).x)

    def _solve(self, R: Array, f: Indices, y: Array, known: Array, h: _Hyper) -> _Solved:
        """The best constants and signal variance, and the log density of y. R: the kernel matrix with rho in it."""
        n = len(y)
        scale = h.scales[f]
        signal = 1.0
        for _ in range(1 if not known.any() else 3):  # known noise is relative to the signal, which follows from it
            noise = h.ratio + known / scale**2 / signal
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
        for k in range(self.n_fidelities):  # of a fidelity that was never asked: as of the nearest
            constants[k] = c[int(np.argmin(np.abs(present - k)))]
        return _Solved(constants, signal, noise, density)


def _spread(y: Array) -> float:
    """The standard deviation, 0 of values that are equal but for rounding."""
    spread = float(y.std())
    return spread if spread > 1e-12 * max(1.0, float(np.abs(y).max())) else 0.0


def _at(rows: Rows, indices: Indices) -> Rows:
    return Rows(rows.values[indices], rows.squared_norms[indices])


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


@dataclass(frozen=True, eq=False)
class Fidelities(Kernel):
    """Another kernel on all columns but the last, times rho^|f - g|, f and g being the last: fidelities in order."""

    base: Kernel
    rho: float

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        """See the base class."""
        apart = (rows1.values[..., -1].double().unsqueeze(-1) - rows2.values[..., -1].double().unsqueeze(-2)).abs()
        return self.base.cross(rows1, rows2) * self.rho**apart

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raises TypeError: call ``cross``."""
        raise TypeError("the kernel of fidelities is no function of dot products; call cross")

    def hyperparameters(self) -> Mapping[str, float]:
        """See the base class."""
        return {"correlation": self.rho, **self.base.hyperparameters()}


class FidelityModel(ExactGPModel, MultiFidelityModel):
    """A fitted ``MultiFidelityGP`` as seen at one fidelity, an exact Gaussian process of features (d columns).

    Rows of d + 1 columns are taken at the fidelity that they name, in the unit and about the mean of this one: that is
    what pending objects at other fidelities, and correlations with them, need.

    Args:
        constants: c_f of every fidelity.
        scales: b_f of every fidelity.
        noise_ratios: noise variance of a measurement / signal variance at every fidelity, on average.
        fidelity: the one that this is of.
        arguments: those of ``ExactGPModel``.
    """

    def __init__(
        self,
        *,
        constants: tuple[float, ...],
        scales: tuple[float, ...],
        noise_ratios: tuple[float, ...],
        fidelity: int,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.constants = constants
        self.scales = scales
        self.noise_ratios = noise_ratios
        self.fidelity = fidelity

    def prepare(self, X: Tensor) -> Rows:
        """Feature rows, with the column of this fidelity where they have none: ... x d (+ 1) -> n."""
        X = X.reshape(-1, X.shape[-1])
        if X.shape[-1] == self._values.shape[-1] - 1:
            X = torch.cat([X, torch.full_like(X[:, :1], self.fidelity)], dim=1)
        return prepare(X, self._values.dtype)

    @property
    def n_fidelities(self) -> int:
        return len(self.scales)

    def at(self, fidelity: int) -> FidelityModel:
        """The same model as seen at another fidelity."""
        factor = self.scales[fidelity] / self.scales[self.fidelity]
        other = copy.copy(self)
        other._buffers = dict(self._buffers)  # a shallow copy shares it
        other.alpha = self.alpha * factor
        other.mean = self.constants[fidelity] + factor * (self.mean - self.constants[self.fidelity])
        other.signal_variance = self.signal_variance * factor**2
        other.noise_variance = other.signal_variance * self.noise_ratios[fidelity]
        other.fidelity = fidelity
        return other

    def with_rows(self, rows: Rows, targets: Tensor, L: Tensor, alpha: Tensor) -> FidelityModel:
        """The model on other training rows, with the same hyperparameters."""
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        other._values, other._squared_norms = rows.values, rows.squared_norms
        other.train_targets, other.L, other.alpha = targets, L, alpha
        return other

    def correlation(self, X: Tensor, fidelity: int) -> Tensor:
        """Posterior correlation of y at a fidelity (its noise included) with f at this one, squared: n x d -> n."""
        index = torch.full_like(X[:, :1], fidelity)
        here, there = self.prepare(X), self.prepare(torch.cat([X, index], dim=1))
        _, w_here = self.mean_and_whitened(here)
        _, w_there = self.mean_and_whitened(there)
        assert isinstance(self.kernel, Fidelities)
        prior = self.kernel.rho ** abs(fidelity - self.fidelity)
        covariance = prior - (w_here * w_there).sum(0)
        own = (1 - w_here.square().sum(0)).clamp_min(1e-9)
        asked = (1 - w_there.square().sum(0)).clamp_min(0) + self.noise_ratios[fidelity]
        found: Tensor = (covariance.square() / (own * asked)).clamp(1e-12, 1.0)
        return found

    def describe(self) -> Mapping[str, float]:
        """Return what ``gp`` does, the correlation of neighbouring fidelities, and each one's constant and scale."""
        hyperparameters = self.kernel.hyperparameters()
        described = {name: value for name, value in super().describe().items() if name not in hyperparameters}
        return {
            **described,
            **{f"constant_{k}": c for k, c in enumerate(self.constants)},
            **{f"scale_{k}": b / self.scales[-1] for k, b in enumerate(self.scales)},
            **hyperparameters,
        }
