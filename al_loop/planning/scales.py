"""The scales on which the values of an imagined oracle may be normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.modelling.transforms import FittedTransform, PowerTransform

Array = NDArray[np.float64]

#: powers of Yeo & Johnson's transform, from a logarithm of the better side to one of the worse side, and the spread
#: of their normal prior about 1, the identity
_POWERS, _SPREAD = np.linspace(0.0, 2.0, 17), 0.5


@dataclass(frozen=True)
class PossibleScales:
    """Increasing functions of an objective's values, one of which makes them normal.

    Args:
        transforms: k functions.
        Y: the n values on each scale, n x k.
        log_densities: prior log density of each scale, plus the sum of the logs of the slopes at the values: k.
    """

    transforms: tuple[FittedTransform, ...]
    Y: Tensor
    log_densities: Array

    @classmethod
    def only(cls, transform: FittedTransform, y: Tensor) -> PossibleScales:
        """Return a scale that is certain, with the n transformed values on it."""
        return cls((transform,), y[:, None], np.zeros(1))

    @classmethod
    def of_values(cls, y: Array) -> PossibleScales:
        """Return the scales of n oriented values, at least three of which differ: a power for the skewness."""
        transforms = tuple(PowerTransform(float(power), y) for power in _POWERS)
        priors = -0.5 * ((_POWERS - 1) / _SPREAD) ** 2
        return cls(
            transforms,
            torch.from_numpy(np.stack([t.forward(y) for t in transforms], axis=1)),
            priors + np.array([t.log_jacobian(y) for t in transforms]),
        )
