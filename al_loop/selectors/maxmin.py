"""As far apart as possible, among the best."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import Similarities, best_first, nearest_pending
from al_loop.selectors.base import SelectionContext, Selector


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

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; among those equally far the one of the higher score, then the first given, is picked."""
        n_picks, similarity = context.n_picks, context.similarity
        order = best_first(context.scores)[: max(math.ceil(self.share * len(context.scores)), n_picks)]
        if not n_picks:
            return []
        X = context.X[order]
        similarities = Similarities(X, similarity, n_picks)
        nearest = nearest_pending(X, similarity, context.X_pending)
        picked = [0]
        is_free = torch.ones(len(order), dtype=torch.bool)
        while len(picked) < n_picks:
            is_free[picked[-1]] = False
            nearest = torch.maximum(nearest, similarities[picked[-1]])
            picked.append(int((-nearest).masked_fill(~is_free, -math.inf).numpy().argmax()))  # the first of equals
        return [order[i] for i in picked]
