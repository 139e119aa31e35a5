"""Conditioned rewards: one network for a range of temperatures and of preferences between objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from al_loop.system.checks import in_range, one_of, whole_number

#: the combination of the rewards r_j of several objectives with weights w_j
Scalarisation = Literal["sum", "product", "chebyshev"]

_AUGMENTATION = 0.05  # as in ParEGO, Knowles 2006


@dataclass(frozen=True)
class Conditioning:
    """Conditions of a reward: R(x | beta, w) = s(x | w)^beta, where s is by default the sum of w_j r_j(x).

    This is MOGFN-PC (Jain et al. 2023). The network receives log beta, scaled to -1 ... 1, and the weights w. In
    training, beta is drawn log-uniformly and w uniformly from the simplex.

    If rewards are exponentials of values, the sum prefers objects that are extreme in one objective, unless w is very
    unequal; the other two scalarisations weigh the values themselves. With v_j = w_j / max w:

    - ``product``: log s = sum of w_j log r_j, a linear trade-off; the offset of a log-reward does not matter.
    - ``chebyshev``: log s = min_j v_j log r_j + 0.05 sum of v_j log r_j. It reaches every object of a Pareto front,
      even of a non-convex one, if 0 is the ideal value: log-rewards should be below it, or only slightly above. At the
      corners of the simplex, objects above it in the one objective that counts differ only by the small second term.

    Args:
        beta: range of the inverse temperature, (lowest, highest), above 0 and finite; None: fixed at 1.
        objectives: number of objectives, each with its own log-reward; 1: no preferences.
        scalarisation: the combination of the rewards of several objectives.

    Raises:
        ValueError: an argument is out of range.
    """

    beta: tuple[float, float] | None = None
    objectives: int = 1
    scalarisation: Scalarisation = "sum"

    def __post_init__(self) -> None:
        one_of("scalarisation", self.scalarisation, get_args(Scalarisation))
        if self.beta is not None:
            if not isinstance(self.beta, tuple | list) or len(self.beta) != 2 or self.beta[0] == self.beta[1]:
                raise ValueError(f"beta: expected two different positive numbers, the lowest first, got {self.beta!r}")
            in_range("beta[0]", self.beta[0], 0, above=True, below=True)
            in_range("beta[1]", self.beta[1], self.beta[0], above=True, below=True)
        whole_number("objectives", self.objectives, 1)

    @property
    def n_values(self) -> int:
        """Number of conditions that the network receives."""
        return (self.beta is not None) + (self.objectives if self.objectives > 1 else 0)

    def sample(self, n: int, generator: torch.Generator, repeats: int = 1) -> Tensor:
        """Return random conditions to train on, shape n x n_values.

        Args:
            n: number of trajectories.
            generator: source of all randomness; the result is on its device.
            repeats: number of successive trajectories of one condition.
        """
        if repeats > 1:
            return self.sample(-(-n // repeats), generator).repeat_interleave(repeats, 0)[:n]
        device = generator.device
        parts = []
        if self.beta is not None:
            parts.append(torch.rand((n, 1), generator=generator, device=device) * 2 - 1)
        if self.objectives > 1:
            exponential = torch.empty((n, self.objectives), device=device).exponential_(generator=generator)
            parts.append(exponential / exponential.sum(1, keepdim=True))
        return torch.cat(parts, 1) if parts else torch.zeros(n, 0, device=device)

    def fixed(self, n: int, beta: float | None = None, weights: Sequence[float] | None = None) -> Tensor:
        """Return one condition n times, shape n x n_values.

        Args:
            n: number of trajectories.
            beta: inverse temperature, required if and only if the reward is conditioned on it.
            weights: preference for each objective, at least 0; they are normalised to a sum of 1.

        Raises:
            ValueError: a condition is missing, superfluous or out of range.
        """
        row: list[float] = []
        if (beta is None) != (self.beta is None):
            reason = "is required, since" if beta is None else "cannot be used, since it is not"
            raise ValueError(f"beta {reason} a condition of the sampler")
        if self.beta is not None and beta is not None:
            low, high = self.beta
            if not low <= beta <= high:
                raise ValueError(f"beta: {beta} is outside the trained range, {low} to {high}")
            row.append(2 * math.log(beta / low) / math.log(high / low) - 1)
        if self.objectives == 1 and weights is not None:
            raise ValueError("weights cannot be used, since they are not a condition of the sampler")
        if self.objectives > 1:
            if (
                weights is None
                or len(weights) != self.objectives
                or not all(0 <= w < math.inf for w in weights)
                or not 0 < sum(weights) < math.inf
            ):
                raise ValueError(
                    f"weights: expected {self.objectives} finite, non-negative numbers, not all 0, got {weights}"
                )
            row += [w / sum(weights) for w in weights]
        return torch.tensor([row]).expand(n, -1).contiguous()

    def apply(self, log_reward: Tensor, values: Tensor) -> Tensor:
        """Return log-rewards under conditions, shape n.

        Args:
            log_reward: log-rewards, shape n or n x objectives.
            values: conditions, shape n x n_values.

        Raises:
            ValueError: the log-rewards have the wrong shape.
        """
        if self.objectives > 1:
            if log_reward.shape != (len(values), self.objectives):
                expected = f"{len(values)} x {self.objectives}, one column for each objective"
                raise ValueError(f"expected log-rewards of shape {expected}, got {tuple(log_reward.shape)}")
            log_reward = self._scalarise(log_reward, values[:, -self.objectives :])
        elif log_reward.dim() != 1:
            raise ValueError(
                f"expected one log-reward for each object, got the shape {tuple(log_reward.shape)}; several objectives "
                "require Conditioning(objectives=...)"
            )
        if self.beta is not None:
            low, high = self.beta
            log_reward = log_reward * low * (high / low) ** ((values[:, 0] + 1) / 2)
        return log_reward

    def _scalarise(self, log_reward: Tensor, weights: Tensor) -> Tensor:
        """Return log s, shape n, for log-rewards and weights, shape n x objectives each."""
        if self.scalarisation == "sum":
            return (log_reward + weights.log()).logsumexp(1)
        if self.scalarisation == "product":
            return _weighted(weights, log_reward).sum(1)
        weighted = _weighted(weights / weights.max(1, keepdim=True).values, log_reward)
        return weighted.min(1).values + _AUGMENTATION * weighted.sum(1)


def _weighted(weights: Tensor, log_reward: Tensor) -> Tensor:
    """Return products, which are 0 for a weight of 0, also of a log-reward of -inf."""
    return torch.where(weights == 0, 0.0, weights * log_reward)
