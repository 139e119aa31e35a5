"""Hyperparameters of Gaussian processes drawn from their posterior, in place of the most likely ones."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from al_loop.surrogates._gp_hyperparameters import RATIO_BOUNDS, Array, Fit, Gram, NoisePrior
from al_loop.surrogates.kernels.elementary import Kernel, Rows
from al_loop.system import stopping

_N_RATIOS = 41
#: rows by which a kernel's own hyperparameters are drawn
_KERNEL_ROWS = 256


class HyperparameterPosterior:
    """The posterior of the constant c, the signal variance s and the noise ratio r of standardised targets.

    With a flat prior of c and the scaled inverse chi-squared prior of s (see ``log_density`` of the fit), both are
    integrated out in closed form: given r, s is (residual + 1) / chi-squared of n degrees of freedom, and c is normal.
    The marginal posterior of log r is evaluated on a grid.

    Args:
        gram: of n training rows.
        z: n standardised targets.
        prior: of the noise ratio.
    """

    def __init__(self, gram: Gram, z: Array, prior: NoisePrior) -> None:
        self._n = len(z)
        self._ratios = np.geomspace(*RATIO_BOUNDS, _N_RATIOS)
        rotated, ones = gram.U.T @ z, gram.U.sum(0)
        spectrum = gram.eigenvalues[None] + self._ratios[:, None]
        self._precision = ((ones**2)[None] / spectrum).sum(1)  # 1'R^-1 1
        self._means = ((ones * rotated)[None] / spectrum).sum(1) / self._precision
        self._residuals = ((rotated[None] - self._means[:, None] * ones[None]) ** 2 / spectrum).sum(1)
        log_weights = -0.5 * (
            np.log(spectrum).sum(1) + np.log(self._precision) + self._n * np.log(self._residuals + 1)
        ) + prior.log_density(np.log(self._ratios))
        top = float(log_weights.max())
        weights = np.exp(log_weights - top)
        self.log_evidence = top + math.log(weights.sum())
        self._weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Fit:
        """Return one draw."""
        i = int(rng.choice(len(self._ratios), p=self._weights))
        signal = float((self._residuals[i] + 1) / rng.chisquare(self._n))
        mean = float(rng.normal(self._means[i], math.sqrt(signal / self._precision[i])))
        return Fit(mean, signal, float(self._ratios[i]), self.log_evidence)


def draw_kernels(
    kernel: Kernel, rows: Rows, z: Array, prior: NoisePrior, n: int, rng: np.random.Generator
) -> list[Kernel]:
    """Draw a kernel's own hyperparameters from their posterior, by Gibbs sampling over the choices of a fit.

    Without targets this is the prior. A kernel without hyperparameters of its own is returned alone.

    Args:
        kernel: the most likely kernel, where the chain begins.
        rows: training rows, of which up to 256 random ones count.
        z: their standardised targets.
        prior: of the noise ratio.
        n: number of draws.
        rng: source of all randomness.
    """
    if not kernel.axes():
        return [kernel]
    if len(z) > _KERNEL_ROWS:
        subset: NDArray[np.int64] = np.sort(rng.permutation(len(z))[:_KERNEL_ROWS])
        rows, z = rows.take(subset), z[subset]

    def density(option: Kernel) -> float:
        stopping.look()
        if not len(z):
            return option.log_prior
        return HyperparameterPosterior(Gram.of(option, rows), z, prior).log_evidence + option.log_prior

    drawn: list[Kernel] = []
    while len(drawn) < n:
        for i in range(len(kernel.axes())):
            options = kernel.axes()[i]
            densities = np.array([density(option) for option in options])
            weights = np.exp(densities - densities.max())
            kernel = options[int(rng.choice(len(options), p=weights / weights.sum()))]
        drawn.append(kernel)
    return drawn
