"""As far apart as possible, among the best."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_loop.selectors._similarities import Similarities, best_first, nearest_pending
from al_loop.selectors.base import Selector, Similarity


class MaxMin(Selector):
    """The best, then each time the one farthest from all picked and pending ones, among the best (Ashton et al. 2002).

    Args:
        share: how much of the candidates, the best by score, are picked from; at least the batch. 1: scores choose the
            first pick alone.
    """

    kind = "maxmin"

    def __init__(self, share: Annotated[float, Field(gt=0, le=1)] = 0.2) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"selector.share: {share} must be above 0 and at most 1")
        self.share = share

    def select(
        self, q: int, scores: Tensor, X: Tensor, similarity: Similarity, X_pending: Tensor | None = None
    ) -> list[int]:
        """See the base class; among those equally far the one of the higher score, then the first given, is picked."""
        wanted = min(q, len(scores))
        order = best_first(scores)[: max(math.ceil(self.share * len(scores)), wanted)]
        if not wanted:
            return []
        X = X[order]
        similarities = Similarities(X, similarity, wanted)
        nearest = nearest_pending(X, similarity, X_pending)
        picked = [0]
        is_free = torch.ones(len(order), dtype=torch.bool)
        while len(picked) < wanted:
            is_free[picked[-1]] = False
            nearest = torch.maximum(nearest, similarities[picked[-1]])
            picked.append(int((-nearest).masked_fill(~is_free, -math.inf).numpy().argmax()))  # the first of equals
        return [order[i] for i in picked]
