"""Whether the oracle will answer, and what the call will cost: learned from what it did so far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.modelling.ep_classifier import Posterior, mean_sigmoid, offset_of, posterior
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Kernel, Rows, prepare
from al_loop.surrogates.kernels.expression import best_kernel, kernel_of

#: rows that a classifier is fitted to, and those that its hyperparameters are chosen on
_MOST_ROWS, _CHOOSING_ROWS = 1500, 400
#: rare failures are picked up to this share of the rows; a larger one makes noisy failures look too likely
_FAILED_SHARE = 0.1
_SIGNALS, _USUAL_SIGNAL = (0.25, 1.0, 4.0, 9.0, 16.0, 36.0), 4.0
_CHUNK = 2048
#: fewer priced calls, or costs that differ by less (standard deviation of their logs), tell no object from another
_FEWEST_COSTS, _LEAST_SPREAD = 8, 0.02


class Feasibility:
    """P(the oracle answers), by a Gaussian process classifier (Rasmussen & Williams 2006, chapter 3).

    A logistic likelihood on f ~ GP(b, s T), T the kernel, and the posterior by expectation propagation. b is such that
    the mean sigmoid of f is the base rate, so that far from all data the probability is just that, however large s; s,
    and the kernel's own hyperparameters, have the largest approximate marginal likelihood among some. Of many
    measurements 1,500 are used; where fewer than a tenth failed, more of the failures, and b is corrected for that.
    Each failure counts alike: leave out those that say nothing of the object, such as lost connections.

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
        rate = (n - n_failed + 1) / (n + 2)
        if n_failed in (0, n):
            return FeasibilityModel(_logit(rate))
        picked = self._picked(is_answered, _MOST_ROWS)
        rows, y = prepare(X[picked]), is_answered[picked].double()
        some = self._picked(is_answered[picked], _CHOOSING_ROWS)
        few, y_few = Rows(rows.values[some], rows.squared_norms[some]), y[some]

        def offset(signal: float, y: Tensor) -> float:
            # a sample with more failures than their share has these odds in place of the base rate's
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

    def _picked(self, is_answered: Tensor, most: int) -> Tensor:
        """Which measurements are used: all, or failures by their share or up to a tenth, and answers for the rest."""
        if len(is_answered) <= most:
            return torch.arange(len(is_answered))
        order = torch.randperm(len(is_answered), generator=torch.Generator().manual_seed(self.seed))
        failed = order[~is_answered[order]]
        answered = order[is_answered[order]]
        usual = round(most * len(failed) / len(is_answered))
        n_failed = max(min(len(failed), max(round(_FAILED_SHARE * most), usual)), most - len(answered))
        n_failed = min(n_failed, most - 1)  # a rare answer tells more than one more failure
        return torch.cat([failed[:n_failed], answered[: most - n_failed]]).sort().values


def _logit(p: float) -> float:
    return math.log(p / (1 - p))


@dataclass(frozen=True)
class FeasibilityModel:
    """A fitted ``Feasibility``; without rows it knows the base rate alone.

    offset: the prior mean of f in the population.
    """

    offset: float
    kernel: Kernel | None = None
    signal: float = 0.0
    rows: Rows | None = None
    posterior: Posterior | None = None

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Log P(the oracle answers): n x d -> n."""
        if self.kernel is None or self.rows is None or self.posterior is None:
            return torch.full((len(X),), self.offset, dtype=torch.float64).sigmoid().log()
        L = self.posterior.L.float()  # B is well conditioned, so that the variance is good to about 1e-6
        found = []
        for part in X.split(_CHUNK):
            t = self.signal * self.kernel.cross(prepare(part, self.rows.values.dtype), self.rows)
            mean = self.offset + t @ self.posterior.weights
            v = torch.linalg.solve_triangular(L, (t * self.posterior.root).T.float(), upper=False)
            std = (self.signal - v.double().square().sum(0)).clamp_min(1e-12).sqrt()
            found.append(mean_sigmoid(mean, std).log())
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
