"""The cheapest surrogate: Bayesian linear regression in closed form, to measure all else of a round."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.surrogates.base import NormalModel, Surrogate, fit_each_target

_RIDGE = 1.0


class LinearModel(NormalModel):
    """A linear function of the features with normal weights.

    Args:
        mean: mean of the targets.
        weights: of the d features.
        root: d x d, with which feature rows are multiplied for their covariances.
        noise: the noise variance.
    """

    def __init__(self, mean: Tensor, weights: Tensor, root: Tensor, noise: float) -> None:
        super().__init__()
        self._mean, self._weights, self._root = mean, weights, root
        self.noise_variance = noise

    def mean_and_covariance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        rows = X.double()
        spread = rows @ self._root
        return rows @ self._weights + self._mean, spread @ spread.mT + 1e-9 * torch.eye(X.shape[-2]).double()

    def mean_and_variance(self, X: Tensor) -> tuple[Tensor, Tensor]:
        rows = X.double()
        return rows @ self._weights + self._mean, (rows @ self._root).square().sum(-1) + 1e-9


class LinearSurrogate(Surrogate):
    """Linear regression with a penalty."""

    def fit(self, X: Tensor, Y: Tensor, Yvar: Tensor | None = None) -> torch.nn.Module:
        return fit_each_target(_fit, X, Y, Yvar)


def _fit(X: Tensor, y: Tensor, noise: Tensor | None) -> LinearModel:
    rows, mean = X.double(), y.mean()
    factor = torch.linalg.cholesky(rows.mT @ rows + _RIDGE * torch.eye(rows.shape[1]).double())
    weights = torch.cholesky_solve((rows.mT @ (y - mean))[:, None], factor)[:, 0]
    variance = float((y - mean - rows @ weights).square().mean()) + 1e-6
    inverse_root = torch.linalg.solve_triangular(factor, torch.eye(len(factor)).double(), upper=False).mT
    return LinearModel(mean, weights, inverse_root * variance**0.5, variance)
