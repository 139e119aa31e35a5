"""The values of one objective, as its surrogate learns them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from al_loop.modelling.transforms import FittedTransform, Transform
from al_loop.system.plain_values import LARGEST

if TYPE_CHECKING:
    from al_loop.ledger import Observation

Array = NDArray[np.float64]

#: values below this count as 0, and noise variances are at most this many times the spread of the values: beyond,
#: numbers overflow that a model computes
_LEAST, _MOST_NOISE = 1e-150, 1e12
_SIDES = {None: 0.0, "<": -1.0, ">": 1.0}


@dataclass(frozen=True)
class Target:
    """The values of one objective for the n' of n observations that have one.

    Args:
        rows: the positions of these observations, n'.
        Y: their values, transformed so that larger is better, n' x 1.
        Yvar: the variances of their noise, n' x 1; None if it is unknown.
        sides: +1 where only a lower bound is known, -1 where only an upper bound is, else 0, n'; None if all are exact.
        transform: from oriented values to Y.
    """

    rows: NDArray[np.int64]
    Y: Tensor
    Yvar: Tensor | None
    sides: Tensor | None
    transform: FittedTransform

    def certain_values(self, n: int) -> Tensor:
        """Return the value that each of all n observations has at least, NaN for those without: n."""
        full = torch.full((n,), math.nan, dtype=torch.float64)
        certain = self.Y[:, 0] if self.sides is None else torch.where(self.sides < 0, math.nan, self.Y[:, 0])
        full[torch.from_numpy(self.rows)] = certain
        return full


def read_target(measured: Sequence[Observation], index: int, sign: float, transform: Transform) -> Target | None:
    """Return the values of an objective; None if no observation has one.

    Args:
        measured: observations with values, n.
        index: the objective's position among the values.
        sign: 1 if it is maximised, -1 if it is minimised.
        transform: the output transform, fitted here.
    """
    values = np.array([(o.values or ())[index] for o in measured], dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return None
    oriented = sign * values[rows]
    oriented[np.abs(oriented) < _LEAST] = 0.0
    fitted = transform.fit(oriented)
    with_values = [measured[i] for i in rows.tolist()]
    sides = sign * np.array([_SIDES[o.censored[index] if o.censored else None] for o in with_values])
    return Target(
        rows=rows,
        Y=torch.from_numpy(fitted.forward(oriented))[:, None],
        Yvar=_noise_variance(with_values, index, fitted, oriented),
        sides=torch.from_numpy(sides) if sides.any() else None,
        transform=fitted,
    )


def _noise_variance(
    measured: Sequence[Observation], index: int, transform: FittedTransform, oriented: Array
) -> Tensor | None:
    """Return the transformed noise variances that the oracle stated, their median for objects without; n x 1 or None.

    Args:
        measured: observations with this value, n.
        index: position of the value.
        transform: the fitted output transform of the value.
        oriented: the value, oriented so that larger is better, n.
    """
    stated = np.array([min(o.noise[index], LARGEST) ** 2 if o.noise else math.nan for o in measured], dtype=np.float64)
    if np.isnan(stated).all():
        return None
    stated = np.where(np.isnan(stated), np.nanmedian(stated), stated)
    return torch.from_numpy(np.minimum(transform.variance(oriented, stated), _MOST_NOISE))[:, None]
