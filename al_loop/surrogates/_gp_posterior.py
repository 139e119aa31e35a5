"""Hyperparameters of Gaussian processes drawn from their posterior, in place of the most likely ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Scales:
    """The same n targets on k scales, one of which is right.

    Args:
        Z: k x n standardised targets.
        log_densities: log prior density of each scale, and the log of the slopes of its targets: k.
    """

    Z: Array
    log_densities: Array

    def posteriors(self, gram: Gram, prior: NoisePrior) -> tuple[list[HyperparameterPosterior], Array]:
        """Return the hyperparameters' posterior on each scale, and the probabilities of the scales given a kernel."""
        posteriors = [HyperparameterPosterior(gram, z, prior) for z in self.Z]
        return posteriors, _probabilities(self.log_densities + [p.log_evidence for p in posteriors])


def draw_kernels(
    kernel: Kernel, rows: Rows, scales: Scales, prior: NoisePrior, n: int, rng: np.random.Generator
) -> list[Kernel]:
    """Draw a kernel's own hyperparameters from their posterior, by Gibbs sampling over the choices of a fit.

    Without targets this is the prior. A kernel without hyperparameters of its own is returned alone.

    Args:
        kernel: the most likely kernel, where the chain begins.
        rows: training rows, of which up to 256 random ones count.
        scales: their targets; each draw of a kernel is followed by one of the scale.
        prior: of the noise ratio.
        n: number of draws.
        rng: source of all randomness.
    """
    if not kernel.axes():
        return [kernel]
    if scales.Z.shape[1] > _KERNEL_ROWS:
        subset: NDArray[np.int64] = np.sort(rng.permutation(scales.Z.shape[1])[:_KERNEL_ROWS])
        share = len(subset) / scales.Z.shape[1]
        rows, scales = rows.take(subset), Scales(scales.Z[:, subset], share * scales.log_densities)
    scale = int(scales.log_densities.argmax())

    def density(option: Kernel) -> float:
        stopping.look()
        if not scales.Z.size:
            return option.log_prior
        return HyperparameterPosterior(Gram.of(option, rows), scales.Z[scale], prior).log_evidence + option.log_prior

    drawn: list[Kernel] = []
    while len(drawn) < n:
        for i in range(len(kernel.axes())):
            options = kernel.axes()[i]
            weights = _probabilities(np.array([density(option) for option in options]))
            kernel = options[int(rng.choice(len(options), p=weights))]
        drawn.append(kernel)
        if len(scales.Z) > 1:
            _, weights = scales.posteriors(Gram.of(kernel, rows), prior)
            scale = int(rng.choice(len(weights), p=weights))
    return drawn


def _probabilities(log_densities: Array) -> Array:
    weights = np.exp(log_densities - log_densities.max())
    probabilities: Array = weights / weights.sum()
    return probabilities
