"""Picks as far apart as possible, among the best."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import Similarities, best_first, nearest_pending
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping


class MaxMin(Selector):
    """The best, then repeatedly the candidate farthest from all picks and pending objects (Ashton et al. 2002).

    Args:
        share: fraction of the candidates, the best by score, from which picks are made (at least the batch size). At
            1, scores decide the first pick only.
    """

    kind = "maxmin"

    def __init__(self, share: Annotated[float, Field(gt=0, le=1)] = 0.2) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"selector.share: {share} must be above 0 and at most 1")
        self.share = share

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; ties go to the higher score, then to the first candidate."""
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
            stopping.look()
            is_free[picked[-1]] = False
            nearest = torch.maximum(nearest, similarities[picked[-1]])
            picked.append(int((-nearest).masked_fill(~is_free, -math.inf).numpy().argmax()))  # the first of equals
        return [order[i] for i in picked]
