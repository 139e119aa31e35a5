"""A sparse Gaussian process for many measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.gp import (
    Array,
    ExactGP,
    ExactGPModel,
    Fit,
    best_ratio,
    best_signal_and_ratio,
    log_density,
)
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import kernel_of

#: rows whose kernel with the inducing rows is held in memory at once
_CHUNK = 4096
#: rows among which the inducing ones are chosen, as a multiple of these
_CANDIDATES = 4
#: rows that choose a kernel's lengthscale; that fit hyperparameters beside known noise variances
_KERNEL_ROWS, _KNOWN_NOISE_ROWS = 512, 2048
#: the least conditional variance that makes a row worth having among the inducing ones
_LEAST_CONDITIONAL_VARIANCE = 1e-6
_JITTER = 1e-9


class SparseGP(Surrogate):
    """Sparse variational Gaussian process on inducing rows, for thousands to a million measurements.

    The model of ``gp``, with the posterior of the function's values at m inducing rows as the summary of all data
    (Titsias 2009). For a normal noise the best summary is in closed form, so that nothing is trained in mini-batches:
    one pass over the data, in n m² operations and memory for m² numbers, gives sums, from which the bound of the
    log likelihood follows for any noise ratio r and the constant and the signal variance s are found as in ``gp``.
    With all distinct rows inducing it is that exact Gaussian process.

    A quarter of the inducing rows are those of the largest targets, where a campaign needs the posterior most; the
    others, from a random sample of 4 m rows, each the one of which the ones before tell least (greedy conditional
    variance: Burt et al. 2020).

    Args:
        kernel: left out, the natural one of the campaign's features; else as of ``gp``.
        n_inducing: m. The fit is exact up to so many distinct measurements; its error beyond falls with m.
        noise_ratio: median of the prior of r, noise variance / signal variance.
        noise_spread: standard deviation of the prior of log r.
        seed: of the random sample.
    """

    kind = "variational"

    def __init__(
        self,
        kernel: str = "tanimoto",
        n_inducing: Annotated[int, Field(ge=1)] = 1024,
        noise_ratio: Annotated[float, Field(gt=0)] = 0.1,
        noise_spread: Annotated[float, Field(gt=0)] = 1.5,
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        kernel_of(kernel)  # refuses what it cannot read
        self.kernel = kernel
        self.n_inducing = n_inducing
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.seed = seed

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fits each column of Y by itself: a ``SparseGPModel``, or a ``ModelList`` of them where m > 1.

        Yvar adds known noise to the fitted one; then s and r are searched for together, on up to 2,048 rows.
        """
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> SparseGPModel:
        generator = torch.Generator().manual_seed(self.seed)
        rows, n = prepare(X), len(y)
        shift, scale = shift_and_scale(y)
        z = (y - shift) / scale
        zvar = None if yvar is None else yvar / scale**2
        order = torch.randperm(n, generator=generator).to(X.device)
        exact = ExactGP(noise_ratio=self.noise_ratio, noise_spread=self.noise_spread)
        known = None if zvar is None else zvar.cpu().numpy()
        kernel = exact.best_kernel(kernel_of(self.kernel).trained(X), rows, z.cpu().numpy(), known)
        inducing = _at(rows, self._inducing(kernel, rows, z, order))
        L = torch.linalg.cholesky(_gram(kernel, inducing, _JITTER))
        if zvar is None:
            sums = Sums.of(kernel, inducing, L, rows, z, torch.ones_like(z))
            spectrum = Spectrum.of(sums)
            fit = best_ratio(lambda log_ratio: spectrum.at(log_ratio, float(exact._log_prior(log_ratio))))
            noise = torch.full_like(z, fit.ratio)
            sums = sums.scaled(1 / fit.ratio)
        else:
            fit = self._with_known_noise(kernel, inducing, L, rows, z, zvar, order[:_KNOWN_NOISE_ROWS], exact)
            noise = fit.ratio + zvar / fit.signal
            sums = Sums.of(kernel, inducing, L, rows, z, 1 / noise)
            fit = Fit(sums.reduced().mean, fit.signal, fit.ratio, fit.log_density)
        # q(u) seen as an exact GP on the inducing rows: their kernel matrix L L' plus the noise L B^-1 L'
        eigenvalues, V = torch.linalg.eigh(sums.B)
        inverse = 1 / eigenvalues.clamp_min(1e-10)
        factor = torch.linalg.cholesky((V * (1 + inverse)) @ V.T)
        weights = V @ ((V.T @ (sums.Az - fit.mean * sums.A1)) / (1 + eigenvalues))
        alpha = scale * torch.linalg.solve_triangular(L.T, weights.unsqueeze(-1), upper=True).squeeze(-1)
        mean = shift + scale * fit.mean
        return SparseGPModel(
            kernel=kernel,
            rows=inducing,
            targets=mean + kernel.cross(inducing, inducing) @ alpha,
            L=L @ factor,
            alpha=alpha,
            mean=mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
            has_correlated_noise=True,
            n_data=n,
            explained=sums.trace / sums.n11,
        )

    def _inducing(self, kernel: Kernel, rows: Rows, z: Tensor, order: Tensor) -> Tensor:
        """Which rows are the inducing ones."""
        n_best = self.n_inducing // 4
        candidates = torch.cat([z.topk(min(n_best, len(z))).indices, order[: _CANDIDATES * self.n_inducing]])
        candidates = torch.tensor(list(dict.fromkeys(candidates.tolist())), device=z.device)
        T = _gram(kernel, _at(rows, candidates))
        chosen = greedy_rows(T, min(self.n_inducing, len(candidates)), n_first=min(n_best, len(candidates)))
        return candidates[torch.tensor(chosen, device=z.device)]

    def _with_known_noise(
        self,
        kernel: Kernel,
        inducing: Rows,
        L: Tensor,
        rows: Rows,
        z: Tensor,
        zvar: Tensor,
        some: Tensor,
        exact: ExactGP,
    ) -> Fit:
        """The best signal variance and noise ratio beside known noise, for some of the rows."""
        A = _projected(kernel, inducing, L, _at(rows, some))
        target, known = z[some], zvar[some]

        def at(signal: float, ratio: float) -> Fit:
            weights = 1 / (ratio + known / signal)
            sums = Sums.of_projected(A, target, weights)
            reduced = sums.reduced()
            log_det = reduced.log_det - float(weights.log().sum())
            density = log_density(len(target), reduced.residual, log_det, signal) - 0.5 * (sums.n11 - sums.trace)
            return Fit(reduced.mean, signal, ratio, density + float(exact._log_prior(np.log(ratio))))

        return best_signal_and_ratio(at, Fit(0.0, 1.0, self.noise_ratio, float("nan")))


def _at(rows: Rows, indices: Tensor) -> Rows:
    return Rows(rows.values[indices], rows.squared_norms[indices])


def _gram(kernel: Kernel, rows: Rows, jitter: float = 0.0) -> Tensor:
    T = kernel.cross(rows, rows)
    return (T + T.T) / 2 + jitter * torch.eye(len(T), dtype=T.dtype, device=T.device)


def _projected(kernel: Kernel, inducing: Rows, L: Tensor, rows: Rows) -> Tensor:
    """A = L^-1 T(inducing, rows), whose columns have products a'a = k(x, x) less the conditional variance."""
    A: Tensor = torch.linalg.solve_triangular(L, kernel.cross(inducing, rows), upper=False)
    return A


def greedy_rows(T: Tensor, n: int, n_first: int = 0) -> list[int]:
    """Up to n rows, each of the largest variance given those before it (the pivots of a Cholesky factorisation of T).

    T: the kernel matrix, c x c. n_first: so many rows are taken from the top, as far as they are not known from the
    ones before. It ends early where no row is left that is not known from those that were taken.
    """
    variance = T.diagonal().clone()
    factor = T.new_zeros(n, len(T))
    chosen: list[int] = []
    waiting = list(range(n_first))[::-1]
    while len(chosen) < n:
        row = waiting.pop() if waiting else int(variance.argmax())
        left = float(variance[row])
        if left < _LEAST_CONDITIONAL_VARIANCE:
            if waiting:
                continue
            if float(variance.max()) < _LEAST_CONDITIONAL_VARIANCE:
                break
            continue
        j = len(chosen)
        factor[j] = (T[row] - factor[:j, row] @ factor[:j]) / left**0.5
        variance = (variance - factor[j].square()).clamp_min(0)
        variance[row] = 0.0
        chosen.append(row)
    return chosen


@dataclass(frozen=True)
class Reduced:
    """What is left of weighted sums over the data once the inducing rows have explained their part.

    log_det: log |I + B|; mean: the generalised least squares constant; residual: (z - mean)' R^-1 (z - mean).
    """

    log_det: float
    mean: float
    residual: float


@dataclass(frozen=True)
class Sums:
    """Sums over the data, with weights w (one over the noise ratio): all that a fit needs of them.

    B: sum w a a' (m x m). Az, A1: sum w a z and sum w a (m). n11, n1z, nzz: sum w, sum w z, sum w z². trace: of B.
    """

    B: Tensor
    Az: Tensor
    A1: Tensor
    n11: float
    n1z: float
    nzz: float

    @property
    def trace(self) -> float:
        """The trace of B, which is n11 where the inducing rows explain everything."""
        return float(self.B.diagonal().sum())

    @classmethod
    def of(cls, kernel: Kernel, inducing: Rows, L: Tensor, rows: Rows, z: Tensor, weights: Tensor) -> Sums:
        """Over all rows, a part after the other."""
        total = cls(torch.zeros_like(L), torch.zeros_like(L[0]), torch.zeros_like(L[0]), 0.0, 0.0, 0.0)
        for start in range(0, len(z), _CHUNK):
            part = slice(start, start + _CHUNK)
            A = _projected(kernel, inducing, L, rows[part])
            total = total.plus(cls.of_projected(A, z[part], weights[part]))
        return total

    @classmethod
    def of_projected(cls, A: Tensor, z: Tensor, weights: Tensor) -> Sums:
        """From the columns a (m x n), targets and weights (n)."""
        W = A * weights
        n11, n1z, nzz = float(weights.sum()), float(weights @ z), float(weights @ z.square())
        return cls(W @ A.T, W @ z, W.sum(1), n11, n1z, nzz)

    def plus(self, other: Sums) -> Sums:
        """The sums over the rows of both."""
        return Sums(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def scaled(self, factor: float) -> Sums:
        """The sums with all weights multiplied."""
        return Sums(*(getattr(self, name) * factor for name in self.__dataclass_fields__))

    def reduced(self) -> Reduced:
        """See ``Reduced``."""
        factor = torch.linalg.cholesky(torch.eye(len(self.B), dtype=self.B.dtype, device=self.B.device) + self.B)
        both = torch.stack([self.A1, self.Az], dim=1)
        p1, pz = torch.linalg.solve_triangular(factor, both, upper=False).T
        q11, q1z, qzz = self.n11 - float(p1 @ p1), self.n1z - float(p1 @ pz), self.nzz - float(pz @ pz)
        return Reduced(2 * float(factor.diagonal().log().sum()), q1z / q11, qzz - q1z**2 / q11)


@dataclass(frozen=True)
class Spectrum:
    """Sums of unit weights in the eigenvectors of B, from which the bound follows for any noise ratio.

    eigenvalues: of B. z, ones: Az and A1 in its eigenvectors.
    """

    eigenvalues: Array
    z: Array
    ones: Array
    n11: float
    n1z: float
    nzz: float

    @classmethod
    def of(cls, sums: Sums) -> Spectrum:
        """Of sums with unit weights."""
        eigenvalues, V = torch.linalg.eigh(sums.B)
        z, ones = (V.T @ sums.Az).cpu().numpy(), (V.T @ sums.A1).cpu().numpy()
        return cls(eigenvalues.clamp_min(0).cpu().numpy(), z, ones, sums.n11, sums.n1z, sums.nzz)

    def at(self, log_ratio: float, log_prior: float) -> Fit:
        """The best constant and signal variance at a noise ratio, and Titsias' bound with the priors."""
        n, ratio = self.n11, float(np.exp(log_ratio))
        spectrum = self.eigenvalues + ratio
        q11 = (n - float((self.ones**2 / spectrum).sum())) / ratio
        q1z = (self.n1z - float((self.ones * self.z / spectrum).sum())) / ratio
        qzz = (self.nzz - float((self.z**2 / spectrum).sum())) / ratio
        mean = q1z / q11
        residual = max(qzz - q1z * mean, 0.0)
        signal = (residual + 1) / (n + 1)
        log_det = float(np.log(spectrum).sum()) + (n - len(spectrum)) * log_ratio
        unexplained = (n - float(self.eigenvalues.sum())) / ratio
        density = log_density(round(n), residual, log_det, signal) - 0.5 * max(unexplained, 0.0)
        return Fit(mean, signal, ratio, density + log_prior)


class SparseGPModel(ExactGPModel):
    """A sparse Gaussian process in the form of an exact one on its inducing rows.

    The best q(u) is what an exact GP would have learned from measurements at the inducing rows with noise covariance
    s T (T W T)^-1 T, T W T being the weighted sum of T(inducing, x) T(x, inducing) over the data; so everything that
    an ``ExactGPModel`` does, it does. Its rows are the inducing ones, its targets the posterior means there.

    Args:
        n_data: measurements behind it.
        explained: the fraction of the prior variance at these that the inducing rows explain.
        arguments: those of ``ExactGPModel``.
    """

    def __init__(self, *, n_data: int, explained: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.n_data = n_data
        self.explained = explained

    def describe(self) -> Mapping[str, float]:
        """Return what ``gp`` does, the numbers of inducing rows and measurements, and the explained share of these."""
        hyperparameters = self.kernel.hyperparameters()
        described = {name: value for name, value in super().describe().items() if name not in hyperparameters}
        return {
            **described,
            "n_inducing": float(len(self.alpha)),
            "n_data": float(self.n_data),
            "explained": self.explained,
            **hyperparameters,
        }
