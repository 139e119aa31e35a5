"""A learned kernel beside the natural one of the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from al_loop.surrogates.kernels.elementary import RBF, Kernel, Rows, prepare

#: the kernel matrix of some rows with each other, and that of other rows with them
Pair = tuple[Tensor, Tensor]


class Encodes(Protocol):
    """An encoder of feature rows."""

    def rows(self, X: Tensor) -> Rows:
        """Return encoded rows of n x d feature rows."""


@dataclass(frozen=True)
class Mixture(Kernel):
    """weight deep(e, e') + (1 - weight) plain(x, x'), on rows of e (encoded), then x (as they were).

    Args:
        deep: kernel on encoded rows.
        n_plain: number of first features on which ``plain`` is defined.
        plain: kernel on features, with its hyperparameters; None: there is none, weight is 1, and rows have no x.
        weight: of ``deep``, in [0, 1].
        dtype: number type in which the dot products of features are exact.
    """

    deep: RBF
    n_plain: int = 0
    plain: Kernel | None = None
    weight: float = 1.0
    dtype: torch.dtype = torch.float64

    def with_weight(self, weight: float) -> Mixture:
        """Return the mixture with another weight."""
        return replace(self, weight=weight)

    def features(self, X: Tensor) -> Rows | None:
        """Return the part x of feature rows, for ``plain``, if there is one."""
        return None if self.plain is None else prepare(X[:, : self.n_plain], self.dtype)

    def rows(self, encoder: Encodes, X: Tensor) -> Rows:
        """Return n x d feature rows as rows for this kernel."""
        encoded = encoder.rows(X)
        if self.plain is None:
            return encoded
        return Rows(torch.cat([encoded.values, X[:, : self.n_plain].double()], dim=-1), encoded.squared_norms)

    def cross(self, rows1: Rows, rows2: Rows) -> Tensor:
        if self.plain is None:
            return self.deep.cross(rows1, rows2)
        (e1, x1), (e2, x2) = self._parts(rows1), self._parts(rows2)
        plain = self.plain.cross(x1, x2)
        return plain.lerp_(self.deep.cross(e1, e2), self.weight)

    def _parts(self, rows: Rows) -> tuple[Rows, Rows]:
        e, x = rows.values.tensor_split([rows.values.shape[-1] - self.n_plain], dim=-1)
        return Rows(e, rows.squared_norms), prepare(x, self.dtype)

    def of_dot(self, dot: Tensor, squared1: Tensor, squared2: Tensor) -> Tensor:
        """Raise a TypeError: the kernel is not a function of dot products.

        Raises:
            TypeError: always.
        """
        raise TypeError("a mixture of two kernels is not a function of dot products; call cross")

    def hyperparameters(self) -> Mapping[str, float]:
        return {} if self.plain is None else {**self.plain.hyperparameters(), "deep_weight": self.weight}


def mixed(plain: Pair | None, deep: Pair, weight: float) -> Pair:
    """Return the matrices of a mixture from those of its kernels.

    Args:
        plain: of the kernel on features, or None.
        deep: of the kernel on encoded rows.
        weight: of the latter, in [0, 1].
    """
    return deep if plain is None else (plain[0].lerp(deep[0], weight), plain[1].lerp(deep[1], weight))
