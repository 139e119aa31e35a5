"""Whether the oracle will answer, and what the call will cost: learned from what it did so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from al_loop.surrogates.composite import best_kernel, kernel_of
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels import Kernel, Rows, prepare

#: rows that a classifier is fitted to, and those that its hyperparameters are chosen on; failures, the rarer, first
_MOST_ROWS, _CHOOSING_ROWS = 1500, 400
_SIGNALS, _USUAL_SIGNAL = (0.25, 1.0, 4.0, 9.0, 16.0), 4.0
_CHUNK = 2048
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
#: fewer priced calls, or costs that differ by less (standard deviation of their logs), tell no object from another
_FEWEST_COSTS, _LEAST_SPREAD = 8, 0.02


class Feasibility:
    """P(the oracle answers), by a Gaussian process classifier (Rasmussen & Williams 2006, chapter 3.4).

    A logistic likelihood on f ~ GP(b, s T), T the kernel, and the posterior by Laplace's method. b is the log odds of
    the base rate, so that far from all data the probability is about that; s, and the kernel's own hyperparameters,
    have the largest approximate marginal likelihood among some. Of many measurements 1,500 are used: failures up to a
    half, answers for the rest, and b corrected for that.

    Args:
        kernel: as of the surrogate ``gp``.
        seed: of which measurements are used.
    """

    def __init__(self, kernel: str = "tanimoto", seed: int = 0) -> None:
        self.kernel = kernel
        self.seed = seed

    def fit(self, X: Tensor, is_answered: Tensor) -> FeasibilityModel:
        """From features (n x d) and whether there was an answer (n, bool)."""
        n, n_failed = len(X), int((~is_answered).sum())
        log_odds = float(np.log((n - n_failed + 1) / (n_failed + 1)))
        if n_failed in (0, n):
            return FeasibilityModel(log_odds)
        picked = self._picked(is_answered, _MOST_ROWS)
        share = is_answered[picked].double().mean().clamp(1e-3, 1 - 1e-3)
        shift = log_odds - float((share / (1 - share)).log())  # more failures were picked than their share
        rows, y = prepare(X[picked]), is_answered[picked].double()
        some = self._picked(is_answered[picked], _CHOOSING_ROWS)
        few = Rows(rows.values[some], rows.squared_norms[some])
        offset = log_odds - shift
        kernel = best_kernel(
            kernel_of(self.kernel).trained(X),
            lambda k: _laplace(_USUAL_SIGNAL * k.cross(few, few), y[some], offset).log_evidence,
        )
        T = kernel.cross(few, few)
        signal = max(_SIGNALS, key=lambda s: _laplace(s * T, y[some], offset).log_evidence)
        posterior = _laplace(signal * kernel.cross(rows, rows), y, offset)
        return FeasibilityModel(log_odds, kernel, signal, rows, posterior)

    def _picked(self, is_answered: Tensor, most: int) -> Tensor:
        """Which measurements are used: all, or failures up to a half of ``most`` and answers for the rest."""
        if len(is_answered) <= most:
            return torch.arange(len(is_answered))
        order = torch.randperm(len(is_answered), generator=torch.Generator().manual_seed(self.seed))
        failed = order[~is_answered[order]]
        answered = order[is_answered[order]]
        n_failed = max(min(len(failed), most // 2), most - len(answered))
        return torch.cat([failed[:n_failed], answered[: most - n_failed]]).sort().values


@dataclass(frozen=True)
class Laplace:
    """The normal approximation of a posterior: mean = b + K gradient, covariance = K - K root B^-1 root K.

    gradient: of the log likelihood at the mode, n. root: square roots of its negative second derivatives, n. L: the
    Cholesky factor of B = I + root K root. log_evidence: the approximate log marginal likelihood.
    """

    gradient: Tensor
    root: Tensor
    L: Tensor
    log_evidence: float


@torch.no_grad()
def _laplace(K: Tensor, y: Tensor, offset: float) -> Laplace:
    """Newton's method for the mode (Rasmussen & Williams 2006, algorithm 3.1), with a constant prior mean.

    K: prior covariance, n x n. y: 1 answered, 0 not, n.
    """
    K = K + 1e-8 * float(K.diagonal().mean()) * torch.eye(len(y), dtype=K.dtype)
    f = torch.zeros_like(y)  # about the offset
    best = -float("inf")
    a = torch.zeros_like(y)
    for _ in range(50):
        p = torch.sigmoid(f + offset)
        root = (p * (1 - p)).clamp_min(1e-12).sqrt()
        L = torch.linalg.cholesky(torch.eye(len(y), dtype=K.dtype) + root[:, None] * K * root[None])
        b = root.square() * f + y - p
        step = b - root * torch.cholesky_solve((root * (K @ b))[:, None], L)[:, 0] - a
        size = 1.0
        while True:  # a whole step may overshoot
            tried = a + size * step
            f_tried = K @ tried
            value = float(-0.5 * tried @ f_tried + _log_likelihood(f_tried + offset, y))
            if value >= best - 1e-9 or size < 1e-3:
                break
            size /= 2
        a, f = tried, f_tried
        if value - best < 1e-9 * max(1.0, abs(value)):
            break
        best = value
    p = torch.sigmoid(f + offset)
    root = (p * (1 - p)).clamp_min(1e-12).sqrt()
    L = torch.linalg.cholesky(torch.eye(len(y), dtype=K.dtype) + root[:, None] * K * root[None])
    evidence = float(-0.5 * a @ f + _log_likelihood(f + offset, y) - L.diagonal().log().sum())
    return Laplace(y - p, root, L, evidence)


def _log_likelihood(f: Tensor, y: Tensor) -> Tensor:
    return -torch.nn.functional.softplus(torch.where(y > 0.5, -f, f)).sum()


@dataclass(frozen=True)
class FeasibilityModel:
    """A fitted ``Feasibility``; without rows it knows the base rate alone."""

    log_odds: float
    kernel: Kernel | None = None
    signal: float = 0.0
    rows: Rows | None = None
    posterior: Laplace | None = None

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Log P(the oracle answers): n x d -> n."""
        if self.kernel is None or self.rows is None or self.posterior is None:
            return torch.full((len(X),), self.log_odds, dtype=torch.float64).sigmoid().log()
        nodes, weights = torch.from_numpy(_NODES), torch.from_numpy(_WEIGHTS / _WEIGHTS.sum())
        found = []
        for part in X.split(_CHUNK):
            t = self.signal * self.kernel.cross(prepare(part, self.rows.values.dtype), self.rows)
            mean = self.log_odds + t @ self.posterior.gradient
            v = torch.linalg.solve_triangular(self.posterior.L, (t * self.posterior.root).T, upper=False)
            std = (self.signal - v.square().sum(0)).clamp_min(1e-12).sqrt()
            found.append((torch.sigmoid(mean[:, None] + std[:, None] * nodes) @ weights).log())
        return torch.cat(found) if found else torch.empty(0, dtype=torch.float64)


class Expense:
    """What a call costs (or how long it takes), relative to the usual one: a Gaussian process on the log.

    Args:
        kernel: as of the surrogate ``gp``.
    """

    def __init__(self, kernel: str = "tanimoto") -> None:
        self.kernel = kernel

    def fit(self, X: Tensor, costs: Tensor) -> ExpenseModel:
        """From features (n x d) and positive costs (n)."""
        logs = costs.double().log()
        if len(logs) < _FEWEST_COSTS or float(logs.std()) < _LEAST_SPREAD:
            return ExpenseModel(None, float(logs.mean()))
        model = ExactGP(self.kernel).fit(X[-_MOST_ROWS:], logs[-_MOST_ROWS:, None])
        return ExpenseModel(model, float(logs.mean()))


@dataclass(frozen=True)
class ExpenseModel:
    """A fitted ``Expense``; without a model every call costs the usual.

    usual: mean log cost.
    """

    model: object
    usual: float

    @torch.no_grad()
    def relative(self, X: Tensor) -> Tensor:
        """Expected cost over exp(mean log cost): n x d -> n."""
        if self.model is None:
            return torch.ones(len(X), dtype=torch.float64)
        mean, variance = self.model.mean_and_variance(X)  # type: ignore[attr-defined]
        expected: Tensor = (mean - self.usual + variance / 2).exp()
        return expected
