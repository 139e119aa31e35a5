"""Side terms of the reward: probability of a valid measurement, and its expected cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.surrogates.base import SurrogateModel


@dataclass(frozen=True)
class OutcomeBound:
    """An interval in which one of the oracle's values must lie, and the model that predicts this value.

    Args:
        model: a model of the standardised value.
        min: the lowest acceptable value, standardised in the same way; None for no lower bound.
        max: the highest acceptable value, standardised in the same way; None for no upper bound.
    """

    model: SurrogateModel
    min: float | None
    max: float | None

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Return the log-probability, n, that the true values at X (n x d) are within bounds; at least -60."""
        mean, variance = self.model.mean_and_variance(X)
        std = variance.clamp_min(1e-18).sqrt()
        low = torch.full_like(mean, -math.inf) if self.min is None else (self.min - mean) / std
        high = torch.full_like(mean, math.inf) if self.max is None else (self.max - mean) / std
        # Phi(high) - Phi(low) in the tail that contains the interval, so that no two numbers near 1 are subtracted
        is_in_upper_tail = low > 0
        low, high = torch.where(is_in_upper_tail, -high, low), torch.where(is_in_upper_tail, -low, high)
        log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
        log_difference: Tensor = log_high + torch.log1p(-(log_low - log_high).exp().clamp_max(1 - 1e-16))
        return log_difference.clamp_min(-60.0)


@dataclass(frozen=True)
class SideTerms:
    """The factors, beside the acquisition, by which measuring an object is more or less attractive.

    An object x has the weight

        P(bounds hold | x) * P(success | x)^feasibility * (usual cost / cost(x))^cost

    where success means that the oracle returns values at all. The three factors are taken to be independent.

    Args:
        bounds: bounds on values of the oracle; each one's probability is a factor.
        log_success_probability: n x d features -> log P(success), n; None for certain success.
        feasibility: exponent of P(success), at least 0.
        relative_cost: n x d features -> expected cost of a call / usual cost, n; None for equal costs.
        cost: exponent of the cost factor, at least 0.
    """

    bounds: tuple[OutcomeBound, ...] = ()
    log_success_probability: Callable[[Tensor], Tensor] | None = None
    feasibility: float = 0.0
    relative_cost: Callable[[Tensor], Tensor] | None = None
    cost: float = 0.0

    @torch.no_grad()
    def log_weight(self, X: Tensor) -> Tensor:
        """Return the log-weight of each row of X (n x d): n."""
        total = self.log_constraint_probability(X) + self.log_cost_factor(X)
        if self.log_success_probability is None:
            return total
        return total + self.feasibility * self.log_success_probability(X)

    @torch.no_grad()
    def log_constraint_probability(self, X: Tensor) -> Tensor:
        """Return log P(all bounds hold) for each row of X (n x d): n."""
        total = torch.zeros(len(X), dtype=torch.float64, device=X.device)
        for bound in self.bounds:
            total += bound.log_probability(X)
        return total

    @torch.no_grad()
    def log_cost_factor(self, X: Tensor) -> Tensor:
        """Return log (usual cost / cost)^cost for each row of X (n x d): n."""
        if self.relative_cost is None or not self.cost:
            return torch.zeros(len(X), dtype=torch.float64, device=X.device)
        return -self.cost * self.relative_cost(X).clamp_min(1e-9).log()

    @torch.no_grad()
    def log_valid_probability(self, X: Tensor) -> Tensor:
        """Return log P(success and all bounds hold) for each row of X (n x d): n."""
        total = self.log_constraint_probability(X)
        return total if self.log_success_probability is None else total + self.log_success_probability(X)
