"""What an oracle might answer: functions drawn from a Gaussian process, and tables of measured values."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from linear_operator.utils.cholesky import psd_safe_cholesky
from numpy.typing import NDArray
from torch import Tensor

from al_loop.features.base import Features
from al_loop.modelling.transforms import FittedTransform
from al_loop.oracles.base import Outcome
from al_loop.seeding import derive_seed
from al_loop.surrogates.gp import Belief
from al_loop.surrogates.kernels.elementary import Rows, prepare

Array = NDArray[np.float64]

_JITTER = 1e-6  # of kernel matrices whose rows may be equal


class Truth(ABC):
    """An imagined oracle: the same object has the same answer, whenever it is asked for."""

    @abstractmethod
    def measure(self, objects: Sequence[str], level: int) -> list[tuple[float, ...] | None]:
        """Return the answers for distinct objects at a fidelity; None for a failure.

        Args:
            objects: the objects.
            level: index of the fidelity.
        """


def imagined_outcome(values: tuple[float, ...] | None) -> Outcome:
    """Return an answer of an imagined oracle as an outcome."""
    return Outcome.failed("permanent", "simulated") if values is None else Outcome(values)


class MeasuredTruth(Truth):
    """The answers of a table.

    Args:
        values: the answer for each object; None for a failure.
    """

    def __init__(self, values: Mapping[str, tuple[float, ...] | None]) -> None:
        self._values = values

    def measure(self, objects: Sequence[str], level: int) -> list[tuple[float, ...] | None]:
        return [self._values[name] for name in objects]


@dataclass(frozen=True, eq=False)
class Anchors:
    """Objects at which functions of one kernel are drawn jointly and first, so that all variants of a plan see them.

    Args:
        rows: features of n objects, those that were measured first.
        L: Cholesky factor of their kernel matrix.
    """

    rows: Rows
    L: Tensor

    @classmethod
    def of(cls, belief: Belief, X: Tensor) -> Anchors:
        """Return the anchors of a belief's kernel at n x d features."""
        rows = prepare(X)
        return cls(rows, _factor(belief.kernel.cross(rows, rows)))


class DrawnFunction:
    """A function drawn from a Gaussian process, sampled exactly wherever it is asked for, and nowhere else.

    With f = c + sqrt(s) L u, the numbers u are standard normal; more objects are more rows of the factor L of the
    kernel matrix, so that what was drawn before stays as it was.

    Args:
        belief: kernel and hyperparameters.
        anchors: where it is drawn first.
        known: its values at the first anchors.
        seed: of the draw.
    """

    def __init__(self, belief: Belief, anchors: Anchors, known: Tensor, seed: int) -> None:
        self._belief, self._rows, self._L = belief, anchors.rows, anchors.L
        self._scale = math.sqrt(belief.signal_variance)
        self._generator = torch.Generator().manual_seed(seed)
        self._shift = belief.mean
        self._n_anchors, k = len(anchors.L), len(known)
        self._u = torch.randn(self._n_anchors, generator=self._generator, dtype=torch.float64)
        if k:
            white = ((known - belief.mean) / self._scale)[:, None]
            self._u[:k] = torch.linalg.solve_triangular(self._L[:k, :k], white, upper=False)[:, 0]

    def center(self) -> None:
        """Shift it so that its mean over the anchors is the belief's."""
        self._shift -= float(self.at_anchors().mean()) - self._belief.mean

    def at_anchors(self) -> Tensor:
        """Return its values at the anchors."""
        n = self._n_anchors
        return self._shift + self._scale * (self._L[:n, :n] @ self._u[:n])

    def at(self, X: Tensor) -> Tensor:
        """Return its values at m x d features of objects that were not asked for before: m."""
        rows, kernel = prepare(X, self._rows.values.dtype), self._belief.kernel
        n, m = len(self._L), len(X)
        whitened = torch.linalg.solve_triangular(self._L, kernel.cross(self._rows, rows), upper=False)
        factor = _factor(kernel.cross(rows, rows) - whitened.T @ whitened)
        u = torch.randn(m, generator=self._generator, dtype=torch.float64)
        L = self._L.new_zeros(n + m, n + m)
        L[:n, :n], L[n:, :n], L[n:, n:] = self._L, whitened.T, factor
        values: Tensor = self._shift + self._scale * (whitened.T @ self._u + factor @ u)
        self._L, self._u = L, torch.cat([self._u, u])
        self._rows = self._rows.followed_by(rows)
        return values


def _factor(T: Tensor) -> Tensor:
    eye = torch.eye(len(T), dtype=T.dtype)
    L: Tensor = psd_safe_cholesky((T + T.T) / 2 + _JITTER * eye)
    return L


@dataclass(frozen=True, eq=False)
class DrawnObjective:
    """One of the oracle's values, drawn from a belief.

    Args:
        function: of transformed values, larger being better.
        belief: the noise of which is what the function leaves open of each object.
        transform: from oriented to transformed values.
        sign: 1 if the value is maximised, -1 if it is minimised.
        limit: the best oriented value there can be.
    """

    function: DrawnFunction
    belief: Belief
    transform: FittedTransform
    sign: float
    limit: float = math.inf

    def values(self, latent: Array) -> Array:
        """Return the oracle's values of transformed ones."""
        oriented = np.minimum(self.transform.inverse(latent), self.limit)
        values: Array = self.sign * oriented
        return values

    def keeps_limit(self) -> bool:
        """Return whether no value at the anchors is better than the limit."""
        best = float(self.function.at_anchors().max())
        return self.limit == math.inf or float(self.transform.inverse(np.array(best))) <= self.limit


class DrawnTruth(Truth):
    """An oracle whose values are functions drawn from beliefs.

    Args:
        objectives: one for each of the oracle's values.
        features: of the objects.
        anchors: the objects at which the functions were drawn first.
        measured: what is known: answers at the target, which stay as they are.
        failure_rate: share of the objects that fail.
        correlations: of the cheaper fidelities with the target, cheapest first.
        seed: of failures and of what the functions leave open.
    """

    def __init__(
        self,
        objectives: Sequence[DrawnObjective],
        features: Features,
        anchors: Sequence[str],
        measured: Mapping[str, tuple[float, ...] | None],
        failure_rate: float,
        correlations: Sequence[float],
        seed: int,
    ) -> None:
        self._objectives, self._features, self._measured = objectives, features, measured
        self._failure_rate, self._correlations, self._seed = failure_rate, correlations, seed
        stacked = np.stack([o.function.at_anchors().numpy() for o in objectives], axis=1)
        self._latent: dict[str, Array] = dict(zip(anchors, stacked, strict=True))

    def measure(self, objects: Sequence[str], level: int) -> list[tuple[float, ...] | None]:
        new = [name for name in objects if name not in self._latent]
        if new:
            X = self._features(new)
            stacked = np.stack([o.function.at(X).numpy() for o in self._objectives], axis=1)
            self._latent.update(zip(new, stacked, strict=True))
        return [self._answer(name, level) for name in objects]

    def _answer(self, name: str, level: int) -> tuple[float, ...] | None:
        is_target = level == len(self._correlations)
        if is_target and name in self._measured:
            return self._measured[name]
        rng = np.random.default_rng(derive_seed(self._seed, name))
        if rng.random() < self._failure_rate:
            return None
        own = rng.standard_normal((len(self._correlations) + 1, len(self._objectives)))
        values = []
        for i, objective in enumerate(self._objectives):
            belief = objective.belief
            noise = math.sqrt(belief.signal_variance * belief.noise_ratio)
            latent = self._latent[name][i] + noise * own[-1, i]
            if not is_target:
                rho, spread = self._correlations[level], math.sqrt(belief.signal_variance * (1 + belief.noise_ratio))
                latent = belief.mean + rho * (latent - belief.mean) + math.sqrt(1 - rho**2) * spread * own[level, i]
            values.append(float(objective.values(np.array(latent))))
        return tuple(values)
