"""Output transforms, fitted to the training targets, so that surrogates learn values of about unit spread.

Nothing that follows (floors of variances, smoothing, tolerances) then depends on the oracle's unit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class FittedTransform(ABC):
    """An increasing function of targets, and its inverse. Immutable."""

    @abstractmethod
    def forward(self, y: Array) -> Array:
        """Return what the surrogate learns from targets y, n: n."""

    @abstractmethod
    def inverse(self, z: Array) -> Array:
        """Return the targets of transformed values z, of any shape."""

    def variance(self, y: Array, variance: Array) -> Array:
        """Return the variance of the noise on transformed targets.

        It is computed from the difference over one standard deviation to each side: a derivative would depend on the
        nearest other targets alone.

        Args:
            y: targets, n.
            variance: variance of the noise on each, n.
        """
        std = np.sqrt(variance)
        transformed: Array = ((self.forward(y + std) - self.forward(y - std)) / 2) ** 2
        return transformed

    def center_and_spread(self, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Return median and half the width of the central 68 % of targets whose transforms are normal.

        Without a transform these are mean and standard deviation; with one the mean may be infinite.

        Args:
            mean: mean of each transformed target, n.
            variance: its variance, n.

        Returns:
            Medians and half widths, n each.
        """
        std = np.sqrt(variance)
        return self.inverse(mean), (self.inverse(mean + std) - self.inverse(mean - std)) / 2


class Transform(ABC):
    """Fits an increasing function to targets."""

    @abstractmethod
    def fit(self, y: Array) -> FittedTransform:
        """Return the function for training targets y, n; works from n = 1 on."""


class _Standardised(FittedTransform):
    def __init__(self, shift: float, scale: float) -> None:
        self.shift, self.scale = shift, scale

    @classmethod
    def of(cls, y: Array) -> _Standardised:
        y = np.asarray(y, dtype=np.float64)
        shift, spread = float(y.mean()), float(y.std())
        return cls(shift, spread if spread > 1e-12 * abs(shift) else 1.0)

    def forward(self, y: Array) -> Array:
        z: Array = (np.asarray(y, dtype=np.float64) - self.shift) / self.scale
        return z

    def inverse(self, z: Array) -> Array:
        y: Array = self.shift + self.scale * np.asarray(z, dtype=np.float64)
        return y


class Standardise(Transform):
    """Shift to mean 0 and scale to standard deviation 1; equal targets keep their scale."""

    def fit(self, y: Array) -> FittedTransform:
        return _Standardised.of(y)


class PowerTransform(FittedTransform):
    """The transform of targets that are standardised first, so that its shape does not depend on their unit.

    Args:
        power: 1 is the identity, 0 a logarithm of the upper side, 2 one of the lower side.
        y: the targets that set mean and spread, n.
    """

    def __init__(self, power: float, y: Array) -> None:
        self.power, self.standardised = power, _Standardised.of(y)

    def forward(self, y: Array) -> Array:
        x = self.standardised.forward(y)
        z: Array = np.where(x >= 0, _box_cox(np.abs(x), self.power), -_box_cox(np.abs(x), 2 - self.power))
        return z

    def inverse(self, z: Array) -> Array:
        z = np.asarray(z, dtype=np.float64)
        x = np.where(z >= 0, _inverse_box_cox(np.abs(z), self.power), -_inverse_box_cox(np.abs(z), 2 - self.power))
        return self.standardised.inverse(x)

    def log_jacobian(self, y: Array) -> float:
        """Return the sum of the logs of the slope at targets y, up to a constant of the power."""
        x = self.standardised.forward(y)
        return float((self.power - 1) * (np.sign(x) * np.log1p(np.abs(x))).sum())


def _box_cox(x: Array, power: float) -> Array:
    """Return ((1 + x)^power - 1) / power of x >= 0, or its limit log(1 + x) at power 0."""
    if abs(power) < 1e-8:
        return np.log1p(x)
    z: Array = np.expm1(power * np.log1p(x)) / power
    return z


def _inverse_box_cox(z: Array, power: float) -> Array:
    """Return the inverse of ``_box_cox``; beyond the end of its domain (power < 0), 1e6 standard deviations."""
    if abs(power) < 1e-8:
        return np.expm1(np.minimum(z, np.log1p(_FARTHEST)))
    inside = np.maximum(1 + power * z, (1 + _FARTHEST) ** power if power < 0 else 1.0)
    return np.minimum(np.expm1(np.log(inside) / power), _FARTHEST)


#: largest standardised target, in standard deviations
_FARTHEST = 1e6
#: range of the fitted power
_POWERS = (-1.0, 3.0)


class YeoJohnson(Transform):
    """The power transform of Yeo & Johnson (2000), which makes skewed targets symmetric.

    Its power has the maximum likelihood; fewer than three different targets are only standardised.
    """

    def fit(self, y: Array) -> FittedTransform:
        from scipy.optimize import minimize_scalar
        from scipy.stats import yeojohnson_llf

        standardised = _Standardised.of(y)
        if len(np.unique(y)) < 3:
            return standardised
        x = standardised.forward(y)
        optimum = minimize_scalar(lambda power: -float(yeojohnson_llf(power, x)), bounds=_POWERS, method="bounded")
        return PowerTransform(float(optimum.x), y)


class _Rank(FittedTransform):
    """Linear interpolation between the normal scores of the distinct training targets.

    Beyond either end the slope is that over the quarter of the targets at this end.
    """

    def __init__(self, targets: Array, scores: Array) -> None:
        self.targets, self.scores = targets, scores
        quarter = max(len(targets) // 4, 1)
        self.low_slope = float((scores[quarter] - scores[0]) / (targets[quarter] - targets[0]))
        self.high_slope = float((scores[-1] - scores[-1 - quarter]) / (targets[-1] - targets[-1 - quarter]))

    def forward(self, y: Array) -> Array:
        y = np.asarray(y, dtype=np.float64)
        below, above = np.minimum(y - self.targets[0], 0), np.maximum(y - self.targets[-1], 0)
        z: Array = np.interp(y, self.targets, self.scores) + self.low_slope * below + self.high_slope * above
        return z

    def inverse(self, z: Array) -> Array:
        z = np.asarray(z, dtype=np.float64)
        below, above = np.minimum(z - self.scores[0], 0), np.maximum(z - self.scores[-1], 0)
        y: Array = np.interp(z, self.scores, self.targets) + below / self.low_slope + above / self.high_slope
        return y


class Rank(Transform):
    """Ranks as normal scores (Blom 1958): the surrogate learns normally distributed values in any case.

    Equal targets are only shifted.
    """

    def fit(self, y: Array) -> FittedTransform:
        from scipy.stats import norm, rankdata

        y = np.asarray(y, dtype=np.float64)
        targets, first = np.unique(y, return_index=True)
        if len(targets) < 2:
            return _Standardised.of(y)
        ranks = rankdata(y)  # equal targets share their mean rank
        return _Rank(targets, norm.ppf((ranks[first] - 0.375) / (len(y) + 0.25)))


#: transforms by the names that a config uses
TRANSFORMS: Mapping[str, Transform] = {"none": Standardise(), "yeo_johnson": YeoJohnson(), "rank": Rank()}
