"""Rewards that are conditioned: one network for a range of temperatures and of preferences between objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

#: how the rewards r_j of several objectives are joined, given weights w_j
Scalarisation = Literal["sum", "product", "chebyshev"]

_AUGMENTATION = 0.05  # as in ParEGO, Knowles 2006


@dataclass(frozen=True)
class Conditioning:
    """What a trajectory is drawn for: R(x | beta, w) = s(x | w)^beta, by default of the sum s of w_j r_j(x).

    So it is in MOGFN-PC (Jain et al. 2023). The network sees log beta, scaled to -1 ... 1, and the weights w. In
    training beta is drawn log-uniformly and w uniformly from the simplex.

    Where rewards are exponentials of values, the sum goes with whatever is extreme in one objective, for every w but
    the very unequal; the other two weigh the values themselves. With v_j = w_j / max w:

    - ``product``: log s = sum of w_j log r_j, a linear trade-off; the offset of a log-reward does not matter.
    - ``chebyshev``: log s = min_j v_j log r_j + 0.05 sum of v_j log r_j. It reaches every object of a front, also of
      one that is not convex, if 0 is the ideal: log-rewards are to be below it, or hardly above. At the corners of the
      simplex, what is above it in the one objective that counts is told apart by the small second term only.

    Args:
        beta: the range of the inverse temperature; None: it is 1.
        objectives: number of objectives, each with a log-reward of its own; 1: no preferences.
        scalarisation: how the rewards of several objectives are joined.
    """

    beta: tuple[float, float] | None = None
    objectives: int = 1
    scalarisation: Scalarisation = "sum"

    def __post_init__(self) -> None:
        if self.scalarisation not in get_args(Scalarisation):
            raise ValueError(
                f"scalarisation: {self.scalarisation!r} is not one of {', '.join(get_args(Scalarisation))}"
            )
        if self.beta is not None and not 0 < self.beta[0] < self.beta[1]:
            raise ValueError(f"beta: {self.beta} is not a range of positive numbers, lowest first")
        if self.objectives < 1:
            raise ValueError(f"objectives: there is at least one, not {self.objectives}")

    @property
    def n_values(self) -> int:
        """Numbers that the network is told."""
        return (self.beta is not None) + (self.objectives if self.objectives > 1 else 0)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Conditions to train on: n x n_values."""
        device = generator.device
        parts = []
        if self.beta is not None:
            parts.append(torch.rand((n, 1), generator=generator, device=device) * 2 - 1)
        if self.objectives > 1:
            waits = torch.empty((n, self.objectives), device=device).exponential_(generator=generator)
            parts.append(waits / waits.sum(1, keepdim=True))
        return torch.cat(parts, 1) if parts else torch.zeros(n, 0, device=device)

    def fixed(self, n: int, beta: float | None = None, weights: Sequence[float] | None = None) -> Tensor:
        """One condition n times: n x n_values.

        Raises:
            ValueError: what is conditioned on is not given, or is outside of its range.
        """
        row: list[float] = []
        if (beta is None) != (self.beta is None):
            raise ValueError("give beta exactly where the sampler is conditioned on it")
        if self.beta is not None and beta is not None:
            low, high = self.beta
            if not low <= beta <= high:
                raise ValueError(f"beta: {beta} is outside of the range {low} to {high} that was trained")
            row.append(2 * math.log(beta / low) / math.log(high / low) - 1)
        if self.objectives > 1:
            if weights is None or len(weights) != self.objectives or min(weights) < 0 or not sum(weights) > 0:
                raise ValueError(f"weights: {weights} are not {self.objectives} numbers from 0 up")
            row += [w / sum(weights) for w in weights]
        return torch.tensor([row]).expand(n, -1).contiguous()

    def apply(self, log_reward: Tensor, values: Tensor) -> Tensor:
        """Log-rewards (n, or n x objectives) under conditions (n x n_values): n."""
        if self.objectives > 1:
            if log_reward.shape != (len(values), self.objectives):
                raise ValueError(f"log-rewards of shape {tuple(log_reward.shape)} for {self.objectives} objectives")
            log_reward = self._joined(log_reward, values[:, -self.objectives :])
        if self.beta is not None:
            low, high = self.beta
            log_reward = log_reward * low * (high / low) ** ((values[:, 0] + 1) / 2)
        return log_reward

    def _joined(self, log_reward: Tensor, weights: Tensor) -> Tensor:
        """Log of s, of log-rewards and weights, n x objectives each: n."""
        if self.scalarisation == "sum":
            return (log_reward + weights.log()).logsumexp(1)
        if self.scalarisation == "product":
            return (weights * log_reward).sum(1)
        weighted = weights / weights.max(1, keepdim=True).values * log_reward
        return weighted.min(1).values + _AUGMENTATION * weighted.sum(1)
