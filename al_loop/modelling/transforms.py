"""Transforms of targets, learned on the training targets alone: surrogates learn values of about unit spread.

So nothing that follows (floors of variances, smoothing, tolerances) depends on the oracle's unit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class FittedTransform(ABC):
    """An increasing function of targets, and its inverse; frozen."""

    @abstractmethod
    def forward(self, y: Array) -> Array:
        """Targets -> what the surrogate learns: n -> n."""

    @abstractmethod
    def inverse(self, z: Array) -> Array:
        """What the surrogate says -> targets, of any shape."""

    def variance(self, y: Array, variance: Array) -> Array:
        """Variances of noise on targets y, transformed with them: n, n -> n.

        By the difference over a deviation to each side: a derivative would tell of the nearest other targets alone.
        """
        std = np.sqrt(variance)
        found: Array = ((self.forward(y + std) - self.forward(y - std)) / 2) ** 2
        return found

    def center_and_spread(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Median and half the width of the central 68 % of a target whose transform is normal with these: n, n -> n, n.

        Without a transform these are mean and standard deviation; with one the mean may be infinite.
        """
        std = np.sqrt(variance)
        return self.inverse(mean), (self.inverse(mean + std) - self.inverse(mean - std)) / 2


class Transform(ABC):
    """Learns an increasing function of targets."""

    @abstractmethod
    def fit(self, y: Array) -> FittedTransform:
        """The function, from training targets: n; works from n = 1 on."""


class _Standardised(FittedTransform):
    def __init__(self, shift: float, scale: float) -> None:
        self.shift, self.scale = shift, scale

    @classmethod
    def of(cls, y: Array) -> _Standardised:
        y = np.asarray(y, dtype=np.float64)
        shift, spread = float(y.mean()), float(y.std())
        return cls(shift, spread if spread > 1e-12 * abs(shift) else 1.0)

    def forward(self, y: Array) -> Array:
        found: Array = (np.asarray(y, dtype=np.float64) - self.shift) / self.scale
        return found

    def inverse(self, z: Array) -> Array:
        found: Array = self.shift + self.scale * np.asarray(z, dtype=np.float64)
        return found


class Standardise(Transform):
    """Shift and scale alone."""

    def fit(self, y: Array) -> FittedTransform:
        """See the base class; equal targets keep their scale."""
        return _Standardised.of(y)


class _YeoJohnson(FittedTransform):
    """Of targets that were standardised before, so that the shape does not depend on their unit."""

    def __init__(self, power: float, standardised: _Standardised) -> None:
        self.power, self.standardised = power, standardised

    def forward(self, y: Array) -> Array:
        x = self.standardised.forward(y)
        found: Array = np.where(x >= 0, _box_cox(np.abs(x), self.power), -_box_cox(np.abs(x), 2 - self.power))
        return found

    def inverse(self, z: Array) -> Array:
        z = np.asarray(z, dtype=np.float64)
        x = np.where(z >= 0, _inverse_box_cox(np.abs(z), self.power), -_inverse_box_cox(np.abs(z), 2 - self.power))
        return self.standardised.inverse(x)


def _box_cox(x: Array, power: float) -> Array:
    """((1 + x)^power - 1) / power of x >= 0, and its limit log(1 + x) at power 0."""
    if abs(power) < 1e-8:
        return np.log1p(x)
    found: Array = np.expm1(power * np.log1p(x)) / power
    return found


def _inverse_box_cox(z: Array, power: float) -> Array:
    """The inverse; beyond the end of its domain (power < 0) the largest value that it has there, 1e6 deviations."""
    if abs(power) < 1e-8:
        return np.expm1(np.minimum(z, np.log1p(_FARTHEST)))
    inside = np.maximum(1 + power * z, (1 + _FARTHEST) ** power if power < 0 else 1.0)
    return np.minimum(np.expm1(np.log(inside) / power), _FARTHEST)


#: standard deviations beyond which no target is believed
_FARTHEST = 1e6
#: powers that a fit may choose: 1 is no change, 0 a logarithm of the upper side, 2 one of the lower side
_POWERS = (-1.0, 3.0)


class YeoJohnson(Transform):
    """The power transform of Yeo & Johnson (2000), its power by maximum likelihood: makes skewed targets symmetric."""

    def fit(self, y: Array) -> FittedTransform:
        """See the base class; with fewer than three different targets it is no more than a standardisation."""
        from scipy.optimize import minimize_scalar
        from scipy.stats import yeojohnson_llf

        standardised = _Standardised.of(y)
        if len(np.unique(y)) < 3:
            return standardised
        x = standardised.forward(y)
        found = minimize_scalar(lambda power: -float(yeojohnson_llf(power, x)), bounds=_POWERS, method="bounded")
        return _YeoJohnson(float(found.x), standardised)


class _Rank(FittedTransform):
    """Straight lines between the normal scores of the distinct training targets.

    Beyond either end the slope is that over the quarter of the targets there, whatever is at the other end.
    """

    def __init__(self, targets: Array, scores: Array) -> None:
        self.targets, self.scores = targets, scores
        quarter = max(len(targets) // 4, 1)
        self.low_slope = float((scores[quarter] - scores[0]) / (targets[quarter] - targets[0]))
        self.high_slope = float((scores[-1] - scores[-1 - quarter]) / (targets[-1] - targets[-1 - quarter]))

    def forward(self, y: Array) -> Array:
        y = np.asarray(y, dtype=np.float64)
        below, above = np.minimum(y - self.targets[0], 0), np.maximum(y - self.targets[-1], 0)
        found: Array = np.interp(y, self.targets, self.scores) + self.low_slope * below + self.high_slope * above
        return found

    def inverse(self, z: Array) -> Array:
        z = np.asarray(z, dtype=np.float64)
        below, above = np.minimum(z - self.scores[0], 0), np.maximum(z - self.scores[-1], 0)
        found: Array = np.interp(z, self.scores, self.targets) + below / self.low_slope + above / self.high_slope
        return found


class Rank(Transform):
    """Ranks as normal scores (Blom 1958): whatever the targets' distribution, the surrogate learns a normal one."""

    def fit(self, y: Array) -> FittedTransform:
        """See the base class; with fewer than two different targets it is no more than a shift."""
        from scipy.stats import norm, rankdata

        y = np.asarray(y, dtype=np.float64)
        targets, first = np.unique(y, return_index=True)
        if len(targets) < 2:
            return _Standardised.of(y)
        ranks = rankdata(y)  # equal targets share their mean rank
        return _Rank(targets, norm.ppf((ranks[first] - 0.375) / (len(y) + 0.25)))


#: by the names that the config gives
TRANSFORMS: Mapping[str, Transform] = {"none": Standardise(), "yeo_johnson": YeoJohnson(), "rank": Rank()}
