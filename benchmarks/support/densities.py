"""The seven two-dimensional densities of EB-GFN as words of bits: generators, Gray code and plug-in entropies."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Bits = NDArray[np.int64]

#: integer scales of the published protocol: 2^(bits of a magnitude) / (largest coordinate of 5,000 samples + 2)
SCALES_32 = {
    "2spirals": 5978.49,
    "8gaussians": 5289.62,
    "circles": 5668.64,
    "moons": 5779.76,
    "pinwheel": 5510.88,
    "swissroll": 6222.63,
    "checkerboard": 5461.87,
}


def _spirals(n: int, rng: np.random.Generator) -> Points:
    angle = np.sqrt(rng.random((n // 2 + 1, 1))) * 540 * 2 * np.pi / 360
    arm = np.hstack([-np.cos(angle) * angle, np.sin(angle) * angle]) + rng.random((len(angle), 2)) * 0.5
    return (np.vstack([arm, -arm]) / 3 + rng.standard_normal((2 * len(arm), 2)) * 0.1)[rng.permutation(2 * len(arm))][
        :n
    ]


def _gaussians(n: int, rng: np.random.Generator) -> Points:
    d = 1 / np.sqrt(2)
    centres = 4 * np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (d, d), (d, -d), (-d, d), (-d, -d)])
    return (0.5 * rng.standard_normal((n, 2)) + centres[rng.integers(8, size=n)]) / 1.414


def _circles(n: int, rng: np.random.Generator) -> Points:
    angle = 2 * np.pi * rng.random(n)
    radius = np.where(rng.random(n) < 0.5, 1.0, 0.5)
    return 3 * (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.08 * rng.standard_normal((n, 2)))


def _moons(n: int, rng: np.random.Generator) -> Points:
    angle = np.pi * rng.random(n)
    is_upper = rng.random(n) < 0.5
    x = np.where(is_upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(is_upper, np.sin(angle), 0.5 - np.sin(angle))
    return (np.stack([x, y], 1) + 0.1 * rng.standard_normal((n, 2))) * 2 + np.array([-1, -0.2])


def _pinwheel(n: int, rng: np.random.Generator) -> Points:
    label = rng.integers(5, size=n)
    x = rng.standard_normal((n, 2)) * np.array([0.3, 0.1]) + np.array([1, 0])
    angle = 2 * np.pi * label / 5 + 0.25 * np.exp(x[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    return 2 * np.stack([x[:, 0] * cos + x[:, 1] * sin, -x[:, 0] * sin + x[:, 1] * cos], 1)


def _swissroll(n: int, rng: np.random.Generator) -> Points:
    t = 1.5 * np.pi * (1 + 2 * rng.random(n))
    return (np.stack([t * np.cos(t), t * np.sin(t)], 1) + rng.standard_normal((n, 2))) / 5


def _checkerboard(n: int, rng: np.random.Generator) -> Points:
    x = rng.random(n) * 4 - 2
    y = rng.random(n) - rng.integers(2, size=n) * 2 + np.floor(x) % 2
    return np.stack([x, y], 1) * 2


GENERATORS: Mapping[str, Callable[[int, np.random.Generator], Points]] = {
    "2spirals": _spirals,
    "8gaussians": _gaussians,
    "circles": _circles,
    "moons": _moons,
    "pinwheel": _pinwheel,
    "swissroll": _swissroll,
    "checkerboard": _checkerboard,
}


def bits_of(points: Points, name: str, n_bits: int) -> Bits:
    """Return points as words: for each coordinate a sign bit and the Gray code of the magnitude, n x n_bits."""
    half = n_bits // 2
    scale = SCALES_32[name] * 2.0 ** (half - 16)
    magnitude = np.clip(np.abs(points * scale).astype(np.int64), 0, 2 ** (half - 1) - 1)
    gray = magnitude ^ (magnitude >> 1)
    place = np.arange(half - 2, -1, -1)
    digits = (gray[..., None] >> place) & 1
    sign = (points < 0).astype(np.int64)[..., None]
    return np.concatenate([sign, digits], -1).reshape(len(points), n_bits)


def sample(name: str, n: int, n_bits: int, seed: int) -> Bits:
    """Return n words drawn from a density, n x n_bits.

    Args:
        name: the density.
        n: number of words.
        n_bits: bits of both coordinates together.
        seed: source of all randomness.
    """
    return bits_of(GENERATORS[name](n, np.random.default_rng(seed)), name, n_bits)


def histogram(words: Bits) -> NDArray[np.float64]:
    """Return the share of each of the 2^n_bits words, the first bit being the most significant."""
    index = words @ (1 << np.arange(words.shape[1] - 1, -1, -1))
    return np.bincount(index, minlength=1 << words.shape[1]) / len(words)


def entropy(p: NDArray[np.float64]) -> float:
    """Return the entropy of a distribution, in nats."""
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())
