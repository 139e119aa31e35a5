"""Weights of models by how well each predicts what it was not fitted to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from al_loop.surrogates._gp_model import ExactGPModel

_STEPS = 200
_TOLERANCE = 1e-6


def leave_one_out(model: ExactGPModel) -> Tensor:
    """Return the log density of each training target given all others, n, double precision.

    With R = L L' the training covariance over the signal variance s, the prediction of target i without it has the
    error alpha_i / (R^-1)_ii and the variance s / (R^-1)_ii, noise included (Rasmussen and Williams 2006, eqs. 5.10 to
    5.12). The hyperparameters are those fitted to all targets.

    Args:
        model: a fitted Gaussian process.
    """
    L, alpha = model.L.double().cpu(), model.alpha.double().cpu()
    precision = torch.cholesky_inverse(L).diagonal()
    variance = model.signal_variance / precision
    error = alpha / precision
    log_density: Tensor = -0.5 * (error.square() / variance + variance.log() + math.log(2 * math.pi))
    return log_density


def stacking_weights(log_densities: Tensor, pseudo_count: float = 1.0) -> Tensor:
    """Return the weights of a mixture of models that predicts best, m, which add up to 1.

    They maximise the sum over targets of the log of the mixture's density (stacking of predictive distributions, Yao et
    al. 2018), found by expectation maximisation, which a symmetric Dirichlet prior keeps near equal weights while there
    are few targets.

    Args:
        log_densities: log density of each of n targets under each of m models, each without the target: n x m.
        pseudo_count: targets, beyond those that there are, that count as predicted equally well by all models.
    """
    n, m = log_densities.shape
    weights = torch.full((m,), 1 / m, dtype=torch.float64)
    for _ in range(_STEPS):
        shares = (log_densities + weights.log()).softmax(1)
        updated = (shares.sum(0) + pseudo_count / m) / (n + pseudo_count)
        is_settled = float((updated - weights).abs().max()) < _TOLERANCE
        weights = updated
        if is_settled:
            break
    return weights
