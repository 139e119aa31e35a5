"""The standard log-rewards of the hypergrid: modes in its corners, and harder ones.

They depend only on the coordinates, so they also apply to unfinished points. Bands are compared in whole numbers: a
coordinate on the border of a band is outside it, in every precision and on every device. Below,
a = |x / (height - 1) - 0.5| for each coordinate x. Every function returns n log-rewards in float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: negligible compared with any other reward, so that the logarithm is finite
_TINY = 1e-12


def _distance(states: Tensor, height: int) -> Tensor:
    """Return a in units of 1 / (2 (height - 1)), a whole number for each coordinate, shape n x dimensions."""
    return (2 * states[:, :-1] - (height - 1)).abs()


def _is_in_band(distance: Tensor, height: int) -> Tensor:
    """Return a bool mask, shape n, of the points at which a is in (0.3, 0.4) for all coordinates."""
    scaled = 5 * distance
    return ((scaled > 3 * (height - 1)) & (scaled < 4 * (height - 1))).all(1)


def corners(states: Tensor, height: int, r0: float = 0.1, r1: float = 0.5, r2: float = 2.0) -> Tensor:
    """Return log-rewards with a plateau and a mode in each corner (Bengio et al. 2021, section 4.1).

    R = r0, plus r1 if all a are in (0.25, 0.5], plus r2 if all a are in (0.3, 0.4).

    Args:
        states: states of a ``Hypergrid``, shape n x state_size.
        height: number of values of a coordinate.
        r0: reward of every point, above 0; the corners are harder to find if it is smaller.
        r1: additional reward on the plateaus.
        r2: additional reward on the modes.
    """
    distance = _distance(states, height)
    is_outer = (2 * distance > height - 1).all(1)
    return (r0 + r1 * is_outer.float() + r2 * _is_in_band(distance, height).float()).log()


def cosine(states: Tensor, height: int, r0: float = 0.1, r1: float = 0.5) -> Tensor:
    """Return log-rewards with many waves, the highest in the centre (as in torchgfn).

    R = r0 + r1 times the product over coordinates of (cos(50 a) + 1) N(5 a; 0, 1).

    Args:
        states: states of a ``Hypergrid``, shape n x state_size.
        height: number of values of a coordinate.
        r0: reward of every point, above 0.
        r1: factor of the waves.
    """
    a = _distance(states, height).float() / (2 * (height - 1))
    density = torch.exp(-((5 * a) ** 2) / 2) / math.sqrt(2 * math.pi)
    return (r0 + r1 * ((torch.cos(50 * a) + 1) * density).prod(1)).log()


def sparse(states: Tensor, height: int, r0: float = _TINY) -> Tensor:
    """Return log-rewards of about 0 at a few points, else log r0 (Pan et al. 2023, "Generative augmented flow").

    The points have only coordinates 1 and height - 2, at least one of them height - 2.

    Args:
        states: states of a ``Hypergrid``, shape n x state_size.
        height: number of values of a coordinate.
        r0: reward of every point, above 0.
    """
    coordinates = states[:, :-1]
    is_far = coordinates == height - 2
    is_target = ((coordinates == 1) | is_far).all(1) & is_far.any(1)
    return (r0 + is_target.float()).log()


def deceptive(states: Tensor, height: int, r0: float = 1e-5, r1: float = 0.1, r2: float = 2.0) -> Tensor:
    """Return log-rewards that lead away from the modes (Kim et al. 2025, "Adaptive teachers", as in their code).

    R = r0, plus r1 if any a is at most 0.1, plus r2 if all a are in (0.3, 0.4).

    Args:
        states: states of a ``Hypergrid``, shape n x state_size.
        height: number of values of a coordinate.
        r0: reward of every point, above 0.
        r1: additional, misleading reward around the centre.
        r2: additional reward on the modes.
    """
    distance = _distance(states, height)
    is_central = (5 * distance <= height - 1).any(1)
    return (r0 + r1 * is_central.float() + r2 * _is_in_band(distance, height).float()).log()
