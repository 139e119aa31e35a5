"""Ordering of scores and similarities of candidates, shared by several selectors."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.selectors.base import Similarity

#: largest number of candidates whose matrix is computed at once (0.2 s for 2,000 fingerprints; a row alone 14 ms)
_LARGEST_MATRIX = 4096


def cleaned(scores: Tensor) -> Tensor:
    """Return scores as float64, with NaN as the worst."""
    return scores.double().nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))


def best_first(scores: Tensor) -> list[int]:
    """Return the indices by falling score, equal scores in the given order, NaN last."""
    order: list[int] = cleaned(scores).sort(descending=True, stable=True).indices.tolist()
    return order


class Similarities:
    """The rows of the candidates' similarity matrix, computed at once for a few thousand, one by one beyond.

    Args:
        X: n x d features.
        similarity: of feature rows.
        n_rows: number of rows that will be used.
    """

    def __init__(self, X: Tensor, similarity: Similarity, n_rows: int) -> None:
        self._X, self._similarity = X, similarity
        is_whole = len(X) <= _LARGEST_MATRIX and n_rows > 8
        self._whole = similarity(X, X).double() if is_whole else None

    def __getitem__(self, index: int) -> Tensor:
        """Return the similarities of all candidates to one of them: n, float64."""
        if self._whole is not None:
            return self._whole[:, index]
        return self._similarity(self._X, self._X[index : index + 1]).double().squeeze(1)


def nearest_pending(X: Tensor, similarity: Similarity, X_pending: Tensor | None) -> Tensor:
    """Return the largest similarity of each candidate to a pending object, 0 without any: n, float64.

    Args:
        X: n x d features.
        similarity: of feature rows.
        X_pending: p x d features, or None.
    """
    if X_pending is None or not len(X):
        return torch.zeros(len(X), dtype=torch.float64)
    nearest: Tensor = similarity(X, X_pending).double().max(dim=1).values
    return nearest
