"""Recalibration of predicted standard deviations from the residuals of earlier predictions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: weight of the prior that the deviations are correct, in measurements
_PRIOR_ANSWERS = 20.0
#: factor on the weight of a measurement for each later round (or group of merged rounds, see below)
_AGEING = 0.7
#: small rounds are merged until they have this many measurements: with fewer, a wide spread looks much like a shift
_SMALLEST_GROUP = 8
#: largest residual, in deviations, that an outlier (a typing error, a failed docking) contributes
_LARGEST_RESIDUAL = 4.0
_FACTORS = (0.5, 3.0)


def recalibration_factor(residuals: Array, rounds: NDArray[np.int64]) -> float:
    """Return the factor, from 0.5 to 3, by which to multiply the surrogate's standard deviations.

    It is the root mean square of the residuals, with a higher weight for recent rounds and a prior of 20 measurements
    whose spread is 1 (a scaled inverse chi-squared prior). Rounds of fewer than 8 measurements are merged with earlier
    ones. Residuals are centred on the median of their round: objects are picked because their predictions are good,
    which shifts the mean independently of the deviations; the alarm ``exploitation`` monitors that shift.

    Args:
        residuals: (measured - predicted) / std, with the surrogate's own std before any factor, shape n.
        rounds: the round in which each measurement arrived, shape n.
    """
    is_finite = np.isfinite(residuals)
    total, weight = _PRIOR_ANSWERS, _PRIOR_ANSWERS
    for age, r in enumerate(_latest_first(residuals[is_finite], rounds[is_finite])):
        if len(r) < 2:
            continue
        decay = _AGEING**age
        centred = np.clip(r - np.median(r), -_LARGEST_RESIDUAL, _LARGEST_RESIDUAL)
        total += decay * float((centred**2).sum()) * len(r) / (len(r) - 1)
        weight += decay * len(r)
    return float(np.clip(math.sqrt(total / weight), *_FACTORS))


def _latest_first(residuals: Array, rounds: NDArray[np.int64]) -> list[Array]:
    """Return the residuals by round, latest first, with small rounds merged with earlier ones."""
    groups: list[Array] = []
    group = residuals[:0]
    for number in np.unique(rounds)[::-1]:
        group = np.concatenate([group, residuals[rounds == number]])
        if len(group) >= _SMALLEST_GROUP:
            groups.append(group)
            group = residuals[:0]
    return [*groups, group] if len(group) else groups
