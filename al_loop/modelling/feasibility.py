"""The probability that the oracle answers, and the cost of a call, learned from past calls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.modelling.ep_classifier import Posterior, mean_sigmoid, offset_of, posterior
from al_loop.surrogates.base import SurrogateModel
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import best_kernel, kernel_of
from al_loop.system import stopping

#: rows that a classifier is fitted to, and rows on which its hyperparameters are chosen
_MOST_ROWS, _CHOOSING_ROWS = 1500, 400
#: rare failures are used up to this share of the rows; a larger share makes noisy failures look too likely
_FAILED_SHARE = 0.1
_SIGNALS, _USUAL_SIGNAL = (0.25, 1.0, 4.0, 9.0, 16.0, 36.0), 4.0
_CHUNK = 2048
#: with fewer costs, or a smaller standard deviation of their logs, all objects get the usual cost
_FEWEST_COSTS, _LEAST_SPREAD = 8, 0.02


class Feasibility:
    """P(the oracle answers), by a Gaussian process classifier (Rasmussen & Williams 2006, chapter 3).

    The likelihood is logistic on f ~ GP(b, s T), T the kernel, and the posterior is found by expectation propagation.
    b is such that the mean sigmoid of f is the base rate, so that far from all data the probability equals it, however
    large s is; s and the kernel's hyperparameters maximise the approximate marginal likelihood on a grid. Of many
    calls 1,500 are used; if fewer than a tenth failed, failures are over-represented, and b is corrected for that.
    All failures count the same: leave out those that do not depend on the object, such as lost connections.

    Args:
        kernel: as in the surrogate ``gp``.
        seed: of the choice of the calls.
    """

    def __init__(self, kernel: str = "tanimoto", seed: int = 0) -> None:
        self.kernel = kernel
        self.seed = seed

    def fit(self, X: Tensor, is_answered: Tensor) -> FeasibilityModel:
        """Fit the classifier.

        Args:
            X: n x d features.
            is_answered: n booleans.
        """
        n, n_failed = len(X), int((~is_answered).sum())
        rate = (n - n_failed + 1) / (n + 2)
        if n_failed in (0, n):
            return FeasibilityModel(_logit(rate))
        indices = self._subset(is_answered, _MOST_ROWS)
        rows, y = prepare(X[indices]), is_answered[indices].double()
        choosing = self._subset(is_answered[indices], _CHOOSING_ROWS)
        few, y_few = rows.take(choosing), y[choosing]

        def offset(signal: float, y: Tensor) -> float:
            # a sample in which failures are over-represented has other odds than the base rate's
            share = float(y.mean().clamp(1e-3, 1 - 1e-3))
            return offset_of(rate, signal) + (_logit(share) - _logit(rate) if len(y) < n else 0.0)

        kernel = best_kernel(
            kernel_of(self.kernel).trained(X),
            lambda k: posterior(_USUAL_SIGNAL * k.cross(few, few), y_few, offset(_USUAL_SIGNAL, y_few)).log_evidence,
        )
        T = kernel.cross(few, few)
        signal = max(_SIGNALS, key=lambda s: posterior(s * T, y_few, offset(s, y_few)).log_evidence)
        fitted = posterior(signal * kernel.cross(rows, rows), y, offset(signal, y))
        return FeasibilityModel(offset_of(rate, signal), kernel, signal, rows, fitted)

    def _subset(self, is_answered: Tensor, most: int) -> Tensor:
        """Return the indices of the calls to use: all, or failures by their share or up to a tenth, and answers."""
        if len(is_answered) <= most:
            return torch.arange(len(is_answered))
        order = torch.randperm(len(is_answered), generator=torch.Generator().manual_seed(self.seed))
        failed = order[~is_answered[order]]
        answered = order[is_answered[order]]
        usual = round(most * len(failed) / len(is_answered))
        n_failed = max(min(len(failed), max(round(_FAILED_SHARE * most), usual)), most - len(answered))
        n_failed = min(n_failed, most - 1)  # a rare answer is more informative than one more failure
        return torch.cat([failed[:n_failed], answered[: most - n_failed]]).sort().values


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@dataclass(frozen=True)
class FeasibilityModel:
    """A fitted ``Feasibility``; without rows it predicts the base rate.

    Args:
        offset: prior mean of f in the population.
        kernel: T.
        signal: s.
        rows: the training rows.
        posterior: of f at these.
    """

    offset: float
    kernel: Kernel | None = None
    signal: float = 0.0
    rows: Rows | None = None
    posterior: Posterior | None = None

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Return log P(the oracle answers): n x d -> n."""
        if self.kernel is None or self.rows is None or self.posterior is None:
            return torch.full((len(X),), self.offset, dtype=torch.float64, device=X.device).sigmoid().log()
        L = self.posterior.L.float()  # B is well conditioned, so that the variance is good to about 1e-6
        parts = []
        for chunk in X.split(_CHUNK):
            stopping.look()
            t = self.signal * self.kernel.cross(prepare(chunk, self.rows.values.dtype), self.rows)
            mean = self.offset + t @ self.posterior.weights
            v = torch.linalg.solve_triangular(L, (t * self.posterior.root).T.float(), upper=False)
            std = (self.signal - v.double().square().sum(0)).clamp_min(1e-12).sqrt()
            parts.append(mean_sigmoid(mean, std).log())
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


class Expense:
    """Cost of a call relative to the usual cost, by a Gaussian process on the log.

    Args:
        kernel: as in the surrogate ``gp``.
    """

    def __init__(self, kernel: str = "tanimoto") -> None:
        self.kernel = kernel

    def fit(self, X: Tensor, costs: Tensor) -> ExpenseModel:
        """Fit the model.

        Args:
            X: n x d features.
            costs: n positive costs.
        """
        logs = costs.double().log()
        if len(logs) < _FEWEST_COSTS or float(logs.std()) < _LEAST_SPREAD:
            return ExpenseModel(None, float(logs.mean()))
        model = ExactGP(self.kernel).fit(X[-_MOST_ROWS:], logs[-_MOST_ROWS:, None])
        return ExpenseModel(model, float(logs.mean()))


@dataclass(frozen=True)
class ExpenseModel:
    """A fitted ``Expense``; without a model every call has the usual cost.

    Args:
        model: of the log cost, or None.
        usual: mean log cost.
    """

    model: SurrogateModel | None
    usual: float

    @torch.no_grad()
    def relative(self, X: Tensor) -> Tensor:
        """Return the expected cost divided by exp(mean log cost): n x d -> n."""
        if self.model is None:
            return torch.ones(len(X), dtype=torch.float64, device=X.device)
        mean, variance = self.model.mean_and_variance(X)
        expected: Tensor = (mean - self.usual + variance / 2).exp()
        return expected
