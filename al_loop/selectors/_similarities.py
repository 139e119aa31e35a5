"""Scores in order, and similarities of candidates, as several selectors need them."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.selectors.base import Similarity

#: candidates up to which the whole matrix is computed at once (0.2 s for 2,000 fingerprints; a row alone 14 ms)
_MOST_WHOLE = 4096


def cleaned(scores: Tensor) -> Tensor:
    """Scores as float64, those that are not a number being the worst."""
    return scores.double().nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))


def best_first(scores: Tensor) -> list[int]:
    """Indices by falling score, equal ones in the order given, those that are not a number last."""
    order: list[int] = cleaned(scores).sort(descending=True, stable=True).indices.tolist()
    return order


class Similarities:
    """The rows of the candidates' similarity matrix: all at once for a few thousand, one by one beyond that."""

    def __init__(self, X: Tensor, similarity: Similarity, n_rows: int) -> None:
        self._X, self._similarity = X, similarity
        is_whole = len(X) <= _MOST_WHOLE and n_rows > 8
        self._whole = similarity(X, X).double() if is_whole else None

    def __getitem__(self, index: int) -> Tensor:
        """Similarities of all candidates to one of them: n, float64."""
        if self._whole is not None:
            return self._whole[:, index]
        return self._similarity(self._X, self._X[index : index + 1]).double().squeeze(1)


def nearest_pending(X: Tensor, similarity: Similarity, X_pending: Tensor | None) -> Tensor:
    """The largest similarity of each candidate to a pending object, 0 without any: n, float64."""
    if X_pending is None or not len(X):
        return torch.zeros(len(X), dtype=torch.float64)
    nearest: Tensor = similarity(X, X_pending).double().max(dim=1).values
    return nearest
