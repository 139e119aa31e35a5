"""Targets of which only a bound is known: truncated-normal moments, and the Gaussian process posterior they lead to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_SWEEPS, _DAMPING, _TOLERANCE = 100, 0.8, 1e-6
_LEAST_PRECISION = 1e-10


def hazard(z: Tensor) -> Tensor:
    """Return phi(z) / Phi(z), the ratio of the standard normal's density and distribution function."""
    log_ratio: Tensor = -0.5 * z.square() - 0.5 * math.log(2 * math.pi) - torch.special.log_ndtr(z)
    return log_ratio.exp()


def truncated_mean(mean: Tensor, std: Tensor, bound: Tensor, side: Tensor) -> Tensor:
    """Return the mean of normal variables, given that they are above (side 1) or below (side -1) a bound: n.

    Args:
        mean: means, n.
        std: standard deviations, n.
        bound: bounds, n.
        side: 1 or -1, n.
    """
    expected = mean + side * std * hazard(side * (mean - bound) / std)
    return torch.where(side > 0, torch.maximum(expected, bound), torch.minimum(expected, bound))


@dataclass(frozen=True)
class PseudoTargets:
    """Exact targets with known noise that lead to the same posterior as some exact and some censored ones.

    Args:
        targets: n.
        noise: their noise variances, n.
        means: posterior means of the function at the training rows, n.
        variances: its posterior variances there, n.
    """

    targets: Tensor
    noise: Tensor
    means: Tensor
    variances: Tensor


@torch.no_grad()
def pseudo_targets(K: Tensor, mean: float, y: Tensor, noise: Tensor, side: Tensor) -> PseudoTargets:
    """Approximate the posterior of f ~ N(mean, K) by expectation propagation (Groot and Lucas 2012).

    An exact target is f + noise. Of a censored one it is known that f + noise lies above (side 1) or below (side -1) y:
    the likelihood Phi(side (f - y) / noise's deviation) of a Tobit model, whose moments are in closed form.

    Args:
        K: n x n prior covariance.
        mean: prior mean.
        y: targets or bounds, n.
        noise: noise variances, n.
        side: 0 for an exact target, 1 or -1 for a bound, n.
    """
    is_bound = side != 0
    b, s, v = y[is_bound] - mean, side[is_bound], noise[is_bound]
    precision = torch.where(is_bound, _LEAST_PRECISION, 1 / noise)
    shift = torch.where(is_bound, 0.0, precision * (y - mean))
    eye, before = torch.eye(len(y), dtype=K.dtype, device=K.device), torch.full_like(y, math.inf)
    for _ in range(_MOST_SWEEPS):
        root = precision.sqrt()
        L = torch.linalg.cholesky(eye + root[:, None] * K * root)
        V = torch.linalg.solve_triangular(L, root[:, None] * K, upper=False)
        variance = (K.diagonal() - V.square().sum(0)).clamp_min(1e-12)
        f = K @ shift - V.T @ (V @ shift)
        if bool(((f - before).abs() < _TOLERANCE).all()):
            break
        before = f
        cavity = (1 / variance - precision)[is_bound].clamp_min(_LEAST_PRECISION)
        center = (f / variance - shift)[is_bound] / cavity
        spread = (v + 1 / cavity).sqrt()
        z = s * (center - b) / spread
        h = hazard(z)
        tilted = center + s * h / (cavity * spread)
        tilted_variance = (1 / cavity - h * (z + h) / (cavity * spread).square()).clamp_min(1e-12)
        new_precision = (1 / tilted_variance - cavity).clamp_min(_LEAST_PRECISION)
        precision[is_bound] = precision[is_bound].lerp(new_precision, _DAMPING)
        shift[is_bound] = shift[is_bound].lerp(tilted / tilted_variance - center * cavity, _DAMPING)
    return PseudoTargets(mean + shift / precision, 1 / precision, mean + f, variance)
