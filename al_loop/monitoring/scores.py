"""Accuracy and calibration of predictions made before the measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.monitoring.metrics import rank_correlation

Array = NDArray[np.float64]

#: the central intervals whose coverage is reported, in percent
LEVELS = (50, 80, 95)
#: smallest similarity to the nearest measured object at which an object counts as near, and as in the middle
NEAR, MIDDLE = 0.6, 0.35


@dataclass(frozen=True)
class Scores:
    """Scores of the predictions of n measurements; None where a score is undefined.

    Args:
        n: number of measurements.
        rank_correlation: Spearman's correlation between predicted and measured values.
        rmse: root mean squared error, in the oracle's unit.
        nlpd: mean negative log density of the measurements under the predicted normal distributions, in nats.
        bias: mean of (measured - predicted) / std.
        squared: mean of its square; 1 if the standard deviations are correct and there is no bias.
        coverage: share of the measurements within the central 50, 80 and 95 % of the predicted distribution.
    """

    n: int
    rank_correlation: float | None
    rmse: float | None
    nlpd: float | None
    bias: float | None
    squared: float | None
    coverage: Mapping[str, float]

    def as_dict(self) -> dict[str, object]:
        """Return the scores as the ledger stores them."""
        return asdict(self)


def score(mean: Array, std: Array, measured: Array) -> Scores:
    """Score predictions, without those that have a non-finite entry or no positive deviation.

    Args:
        mean: predicted values, shape n, in the oracle's unit.
        std: predicted standard deviations, shape n.
        measured: measured values, shape n.
    """
    is_valid = valid_predictions(mean, std, measured)
    mean, std, measured = mean[is_valid], std[is_valid], measured[is_valid]
    if not len(mean):
        return Scores(0, None, None, None, None, None, {})
    error = measured - mean
    z = error / std
    correlation = rank_correlation(mean, measured)
    return Scores(
        n=len(z),
        rank_correlation=None if math.isnan(correlation) else correlation,
        rmse=float(np.sqrt((error**2).mean())),
        nlpd=float((0.5 * z**2 + np.log(std) + 0.5 * math.log(2 * math.pi)).mean()),
        bias=float(z.mean()),
        squared=float((z**2).mean()),
        coverage={str(level): float((np.abs(z) <= interval_half_width(level)).mean()) for level in LEVELS},
    )


def score_by_distance(mean: Array, std: Array, measured: Array, nearest: Array) -> dict[str, Scores]:
    """Score the predictions of near, middle and far objects separately; empty groups are omitted.

    Args:
        mean: predicted values, shape n, in the oracle's unit.
        std: predicted standard deviations, shape n.
        measured: measured values, shape n.
        nearest: similarity to the nearest object measured before, shape n; near from 0.6, middle from 0.35.
    """
    groups = {"near": nearest >= NEAR, "middle": (nearest < NEAR) & (nearest >= MIDDLE), "far": nearest < MIDDLE}
    return {name: score(mean[rows], std[rows], measured[rows]) for name, rows in groups.items() if rows.any()}


def valid_predictions(mean: Array, std: Array, measured: Array) -> NDArray[np.bool_]:
    """Return a mask, shape n, of the predictions that are finite, have a positive deviation and were measured."""
    return np.isfinite(mean) & np.isfinite(std) & np.isfinite(measured) & (std > 0)


def interval_half_width(level: float) -> float:
    """Return half the width, in standard deviations, of the central interval of a normal distribution.

    Args:
        level: probability of the interval, in percent.
    """
    from scipy.stats import norm

    return float(norm.ppf(0.5 + level / 200))
