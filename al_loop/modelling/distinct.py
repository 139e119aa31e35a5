"""Distances from good objects, for campaigns that look for many different ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Similarity = Callable[[Tensor, Tensor], Tensor]

_CHUNK = 1024
_BLOCK = 128  # rows that are compared with all later ones at once


class Distinct:
    """Tells which objects are far from all good ones; of these, those that are near an earlier one do not count.

    Args:
        X: features of the good objects, in the order in which they were found, n x d.
        similarity: similarity of feature rows, 0 to 1.
        distance: smallest distance (1 - similarity) of distinct objects.
    """

    def __init__(self, X: Tensor, similarity: Similarity, distance: float) -> None:
        self._similarity, self._limit = similarity, 1 - distance
        #: features of the good objects that count
        self.X = X[self.thinned(X)] if len(X) else X

    def excess(self, X: Tensor) -> Tensor:
        """Return how much too near each of some rows is to a good object: n, 0 if it is distinct, 1 if it is equal.

        Args:
            X: n x d features.
        """
        if not len(self.X) or not len(X):
            return torch.zeros(len(X), dtype=torch.float64)
        nearest = torch.cat([self._similarity(rows, self.X).max(dim=1).values for rows in X.split(_CHUNK)])
        return ((nearest.double().cpu() - self._limit) / max(1 - self._limit, 1e-9)).clamp(min=0)

    def is_near(self, X: Tensor) -> Tensor:
        """Return whether each of some rows is nearer than the distance to a good object: n.

        Args:
            X: n x d features.
        """
        return self.excess(X) > 0

    def thinned(self, X: Tensor, most: int | None = None) -> list[int]:
        """Return the rows that are far from all rows returned before them, in their order.

        Args:
            X: features, n x d.
            most: largest number of rows; None: all.
        """
        chosen: list[int] = []
        is_free = torch.ones(len(X), dtype=torch.bool)
        for start in range(0, len(X), _BLOCK):
            rest = start + is_free[start:].nonzero()[:, 0]
            block = rest[rest < start + _BLOCK]  # the first of them
            if not len(block):
                continue
            is_near = ~(self._similarity(X[block], X[rest]) <= self._limit).cpu()
            is_taken = torch.zeros(len(rest), dtype=torch.bool)
            for i, row in enumerate(block.tolist()):
                if not is_taken[i]:
                    chosen.append(row)
                    if len(chosen) == most:
                        return chosen
                    is_taken |= is_near[i]
            is_free[rest[is_taken]] = False
        return chosen
