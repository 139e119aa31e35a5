"""The expected improvement from a batch before it is measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.oracles.base import Goal

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """Expected result of a batch, in the oracle's unit (with several objectives: in hypervolume).

    Args:
        expected_improvement: expected gain over the best value so far, at least 0; None if no acceptable value has
            been measured yet.
        probability: probability of any improvement.
        expected_best: expected best value after the batch; None, like low and high, if no acceptable value has been
            measured and none is expected.
        low: the best value after the batch lies below this with probability 0.1; at most ``high``, whatever the goal.
        high: the best value after the batch lies above this with probability 0.1.
    """

    expected_improvement: float | None
    probability: float
    expected_best: float | None
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the forecast as the ledger stores it."""
        return asdict(self)


def forecast(bests: Array, so_far: float, goal: Goal) -> Forecast:
    """Return the forecast of a batch from samples of its outcome.

    Args:
        bests: samples of the batch's best value (or of the hypervolume with the batch), shape n; infinitely bad in
            samples in which no object of the batch is acceptable.
        so_far: the best value so far; not finite if there is none, in which case only samples with an acceptable value
            contribute to the expected best.
        goal: the direction of the objective.
    """
    sign = 1.0 if goal == "maximise" else -1.0
    if math.isfinite(so_far):
        after = np.maximum(sign * bests, sign * so_far)
        gain = after - sign * so_far
        probability, improvement = float((gain > 1e-12 * abs(so_far)).mean()), float(gain.mean())
    else:
        is_acceptable = np.isfinite(bests)
        after, improvement, probability = sign * bests[is_acceptable], None, float(is_acceptable.mean())
    if not len(after):
        return Forecast(None, 0.0, None, None, None)
    low, high = np.quantile(sign * after, [0.1, 0.9])
    return Forecast(
        expected_improvement=improvement,
        probability=probability,
        expected_best=sign * float(after.mean()),
        low=float(low),
        high=float(high),
    )
