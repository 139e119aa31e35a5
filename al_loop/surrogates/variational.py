"""A sparse Gaussian process for many measurements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from botorch.models.model import Model
from pydantic import Field
from torch import Tensor

from al_loop.surrogates._gp_hyperparameters import (
    Fit,
    NoisePrior,
    best_ratio,
    best_signal_and_ratio,
    choose_kernel,
    log_density,
)
from al_loop.surrogates._gp_model import ExactGPModel, Hyperparameters, Training
from al_loop.surrogates._sparse_sums import Spectrum, Sums, project
from al_loop.surrogates._standardise import shift_and_scale
from al_loop.surrogates.base import Surrogate, fit_each_target
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import kernel_of
from al_loop.system import stopping

#: rows among which the inducing ones are chosen, as a multiple of these
_CANDIDATES = 4
#: rows that fit hyperparameters beside known noise variances
_KNOWN_NOISE_ROWS = 2048
#: the least conditional variance of an inducing row given the others
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
    others, from a random sample of 4 m rows, are each the one that the ones before explain least (greedy conditional
    variance: Burt et al. 2020).

    Args:
        kernel: by default the natural one of the campaign's features; else as in ``gp``.
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
        kernel_of(kernel)  # raises where it cannot be parsed
        self.kernel = kernel
        self.n_inducing = n_inducing
        self.noise_ratio = noise_ratio
        self.noise_spread = noise_spread
        self.seed = seed

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> Model:
        """Fit each column of Y by itself: a ``SparseGPModel``, or a ``ModelList`` of them where m > 1.

        Yvar adds known noise to the fitted one; then s and r are searched for together, on up to 2,048 rows.
        """
        return fit_each_target(self._fit_column, X, Y, Yvar)

    def _fit_column(self, X: Tensor, y: Tensor, yvar: Tensor | None) -> SparseGPModel:
        generator = torch.Generator().manual_seed(self.seed)
        prior = NoisePrior(self.noise_ratio, self.noise_spread)
        rows, n = prepare(X), len(y)
        shift, scale = shift_and_scale(y)
        z = (y - shift) / scale
        zvar = None if yvar is None else yvar / scale**2
        order = torch.randperm(n, generator=generator).to(X.device)
        known_noise = None if zvar is None else zvar.cpu().numpy()
        kernel = choose_kernel(kernel_of(self.kernel).trained(X), rows, z.cpu().numpy(), prior, known_noise)
        inducing = rows.take(self._inducing(kernel, rows, z, order))
        L = torch.linalg.cholesky(_gram(kernel, inducing, _JITTER))
        if zvar is None:
            sums = Sums.of(kernel, inducing, L, rows, z, torch.ones_like(z))
            spectrum = Spectrum.of(sums)
            fit = best_ratio(lambda log_ratio: spectrum.at(log_ratio, float(prior.log_density(log_ratio))))
            noise = torch.full_like(z, fit.ratio)
            sums = sums.scaled(1 / fit.ratio)
        else:
            subset = order[:_KNOWN_NOISE_ROWS]
            A = project(kernel, inducing, L, rows.take(subset))
            fit = _fit_beside_known_noise(A, z[subset], zvar[subset], prior)
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
        targets = mean + kernel.cross(inducing, inducing) @ alpha
        hyperparameters = Hyperparameters(
            mean=mean,
            signal_variance=scale**2 * fit.signal,
            noise_variance=scale**2 * fit.signal * float(noise.mean()),
            log_density=fit.log_density,
        )
        training = Training(inducing, targets, L @ factor, alpha)
        return SparseGPModel(kernel, training, hyperparameters, n_data=n, explained=sums.trace / sums.n11)

    def _inducing(self, kernel: Kernel, rows: Rows, z: Tensor, order: Tensor) -> Tensor:
        """Return the indices of the inducing rows."""
        n_best = self.n_inducing // 4
        candidates = torch.cat([z.topk(min(n_best, len(z))).indices, order[: _CANDIDATES * self.n_inducing]])
        candidates = torch.tensor(list(dict.fromkeys(candidates.tolist())), device=z.device)
        T = _gram(kernel, rows.take(candidates))
        chosen = greedy_rows(T, min(self.n_inducing, len(candidates)), n_first=min(n_best, len(candidates)))
        return candidates[torch.tensor(chosen, device=z.device)]


def _fit_beside_known_noise(A: Tensor, z: Tensor, zvar: Tensor, prior: NoisePrior) -> Fit:
    """Fit signal variance and noise ratio beside known noise.

    Args:
        A: m x n projected rows.
        z: n standardised targets.
        zvar: their known noise variances.
        prior: of the noise ratio.
    """

    def at(signal: float, ratio: float) -> Fit:
        weights = 1 / (ratio + zvar / signal)
        sums = Sums.of_projected(A, z, weights)
        reduced = sums.reduced()
        log_det = reduced.log_det - float(weights.log().sum())
        density = log_density(len(z), reduced.residual, log_det, signal) - 0.5 * (sums.n11 - sums.trace)
        return Fit(reduced.mean, signal, ratio, density + float(prior.log_density(np.log(ratio))))

    return best_signal_and_ratio(at, Fit(0.0, 1.0, prior.median, float("nan")))


def _gram(kernel: Kernel, rows: Rows, jitter: float = 0.0) -> Tensor:
    T = kernel.cross(rows, rows)
    return (T + T.T) / 2 + jitter * torch.eye(len(T), dtype=T.dtype, device=T.device)


def greedy_rows(T: Tensor, n: int, n_first: int = 0) -> list[int]:
    """Return up to n rows, each of the largest variance given those before it: the pivots of a Cholesky factorisation.

    There are fewer rows where all the others follow from the chosen ones.

    Args:
        T: c x c kernel matrix.
        n: number of rows.
        n_first: so many rows are chosen from the top first, except those that follow from the ones before.
    """
    variance = T.diagonal().clone()
    factor = T.new_zeros(n, len(T))
    chosen: list[int] = []
    waiting = list(range(n_first))[::-1]
    while len(chosen) < n:
        stopping.look()
        row = waiting.pop() if waiting else int(variance.argmax())
        conditional_variance = float(variance[row])
        if conditional_variance < _LEAST_CONDITIONAL_VARIANCE:
            if waiting:
                continue
            if float(variance.max()) < _LEAST_CONDITIONAL_VARIANCE:
                break
            continue
        j = len(chosen)
        factor[j] = (T[row] - factor[:j, row] @ factor[:j]) / conditional_variance**0.5
        variance = (variance - factor[j].square()).clamp_min(0)
        variance[row] = 0.0
        chosen.append(row)
    return chosen


class SparseGPModel(ExactGPModel):
    """A sparse Gaussian process in the form of an exact one on its inducing rows.

    The best q(u) is what an exact GP would have learned from measurements at the inducing rows with noise covariance
    s T (T W T)^-1 T, T W T being the weighted sum of T(inducing, x) T(x, inducing) over the data; so it supports
    everything that an ``ExactGPModel`` does.

    Args:
        kernel: the kernel.
        training: the inducing rows, and the posterior means there as targets.
        hyperparameters: the constant and variances.
        n_data: number of measurements.
        explained: the fraction of the prior variance at the measurements that the inducing rows explain.
    """

    def __init__(
        self, kernel: Kernel, training: Training, hyperparameters: Hyperparameters, n_data: int, explained: float
    ) -> None:
        super().__init__(kernel, training, hyperparameters, has_correlated_noise=True)
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
