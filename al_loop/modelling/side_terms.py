"""What is to be expected of asking the oracle, beside the value that is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from botorch.models.model import Model
from torch import Tensor


@dataclass(frozen=True)
class OutcomeBound:
    """What is acceptable of one of the oracle's values, standardised, and the model that predicts it."""

    model: Model
    min: float | None
    max: float | None

    @torch.no_grad()
    def log_probability(self, X: Tensor) -> Tensor:
        """Log of the probability that the true value lies within the bounds: n x d -> n, never below -60."""
        mean, variance = self.model.mean_and_variance(X)
        std = variance.clamp_min(1e-18).sqrt()
        low = torch.full_like(mean, -math.inf) if self.min is None else (self.min - mean) / std
        high = torch.full_like(mean, math.inf) if self.max is None else (self.max - mean) / std
        # Phi(high) - Phi(low) in the tail where the interval is, so that no difference of ones is taken
        flip = low > 0
        low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
        log_high, log_low = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
        found: Tensor = log_high + torch.log1p(-(log_low - log_high).exp().clamp_max(1 - 1e-16))
        return found.clamp_min(-60.0)


@dataclass(frozen=True)
class SideTerms:
    """That the oracle answers at all, that its other values keep within bounds, and what the call costs.

    Args:
        bounds: on values that are not (only) optimised.
        answering: log of the probability of an answer, n x d -> n.
        feasibility: exponent of that probability.
        expected_cost: cost of a call over the usual one, n x d -> n.
        cost: exponent of one over that cost.
    """

    bounds: tuple[OutcomeBound, ...] = ()
    answering: Callable[[Tensor], Tensor] | None = None
    feasibility: float = 0.0
    expected_cost: Callable[[Tensor], Tensor] | None = None
    cost: float = 0.0

    @torch.no_grad()
    def log_weight(self, X: Tensor) -> Tensor:
        """Log of P(bounds are kept) P(answer)^feasibility (usual cost / cost)^cost: n x d -> n.

        What is asked for is taken as independent of one another.
        """
        total = self.log_constraint_probability(X) + self.log_cost_factor(X)
        return total if self.answering is None else total + self.feasibility * self.answering(X)

    @torch.no_grad()
    def log_constraint_probability(self, X: Tensor) -> Tensor:
        """Log of the probability that all bounds are kept: n x d -> n."""
        total = torch.zeros(len(X), dtype=torch.float64)
        for bound in self.bounds:
            total += bound.log_probability(X)
        return total

    @torch.no_grad()
    def log_success(self, X: Tensor) -> Tensor:
        """Log of the probability of an answer that keeps all bounds: n x d -> n."""
        return (
            self.log_constraint_probability(X)
            if self.answering is None
            else self.log_constraint_probability(X) + self.answering(X)
        )

    @torch.no_grad()
    def log_cost_factor(self, X: Tensor) -> Tensor:
        """Log of (usual cost / cost)^cost: n x d -> n."""
        if self.expected_cost is None or not self.cost:
            return torch.zeros(len(X), dtype=torch.float64)
        return -self.cost * self.expected_cost(X).clamp_min(1e-9).log()
