"""The usual log-rewards of the hypergrid: modes in its corners, and harder ones.

They look at the coordinates alone, so that they may be asked about unfinished points too. Bands are compared in whole
numbers: a coordinate that lies on the border of a band is outside of it, in every precision and on every device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: below any reward that counts, so that a logarithm exists
_TINY = 1e-12


def _distance(states: Tensor, height: int) -> Tensor:
    """|x / (height - 1) - 0.5| in units of 1 / (2 (height - 1)), for each coordinate: n x dimensions, whole numbers."""
    return (2 * states[:, :-1] - (height - 1)).abs()


def _is_in_band(distance: Tensor, height: int) -> Tensor:
    """Whether all coordinates of a point have |x / (height - 1) - 0.5| in (0.3, 0.4): n, bool."""
    scaled = 5 * distance
    return ((scaled > 3 * (height - 1)) & (scaled < 4 * (height - 1))).all(1)


def corners(states: Tensor, height: int, r0: float = 0.1, r1: float = 0.5, r2: float = 2.0) -> Tensor:
    """Log-rewards (n, float32) with a plateau and a mode in each corner (Bengio et al. 2021, section 4.1).

    R = r0, plus r1 where all |x / (height - 1) - 0.5| are in (0.25, 0.5], plus r2 where all are in (0.3, 0.4).

    Args:
        states: n x state_size, of a ``Hypergrid``.
        height: values per coordinate.
        r0: reward of every point; the smaller, the harder to find the corners.
        r1: more reward on the plateaus.
        r2: more reward on the modes.
    """
    distance = _distance(states, height)
    is_outer = (2 * distance > height - 1).all(1)
    return (r0 + r1 * is_outer.float() + r2 * _is_in_band(distance, height).float()).log()


def cosine(states: Tensor, height: int, r0: float = 0.1, r1: float = 0.5) -> Tensor:
    """Log-rewards (n, float32) with many waves, the highest in the centre (as in torchgfn).

    R = r0 + r1 times the product over coordinates of (cos(50 a) + 1) N(5 a; 0, 1), a = |x / (height - 1) - 0.5|.
    """
    a = _distance(states, height).float() / (2 * (height - 1))
    density = torch.exp(-((5 * a) ** 2) / 2) / math.sqrt(2 * math.pi)
    return (r0 + r1 * ((torch.cos(50 * a) + 1) * density).prod(1)).log()


def sparse(states: Tensor, height: int, r0: float = _TINY) -> Tensor:
    """Log-rewards (n, float32) of 1 in few points and r0 elsewhere (Pan et al. 2023, "Generative augmented flow").

    The points have all coordinates 1 or height - 2, but for the one whose coordinates are all 1.
    """
    coordinates = states[:, :-1]
    is_far = coordinates == height - 2
    is_target = ((coordinates == 1) | is_far).all(1) & is_far.any(1)
    return (r0 + is_target.float()).log()


def deceptive(states: Tensor, height: int, r0: float = 1e-5, r1: float = 0.1, r2: float = 2.0) -> Tensor:
    """Log-rewards (n, float32) that lead away from the modes (Kim et al. 2025, "Adaptive teachers", as they coded it).

    R = r0, plus r1 where some |x / (height - 1) - 0.5| is at most 0.1, plus r2 where all are in (0.3, 0.4).
    """
    distance = _distance(states, height)
    is_central = (5 * distance <= height - 1).any(1)
    return (r0 + r1 * is_central.float() + r2 * _is_in_band(distance, height).float()).log()
