"""Upper confidence bounds of several heights in one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import best_first, nearest_pending
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping

_PLATEAU = 0.5  # objects of the best value in units of the batch, from which on they count as a plateau


class Graded(Selector):
    """Equal shares of the batch by the acquisition plus different multiples of the posterior deviation.

    A large batch by one confidence bound is all exploitation or all exploration; with bounds of several heights (Hutter
    et al. 2012) a part exploits, and a part learns where the surrogate is uncertain, so that a wrong belief about a
    plateau is corrected. Candidates that are more similar than ``max_similarity`` to a pick or a pending object are
    picked only when no others remain. ``sampler.evolution`` searches for the best objects of each share.

    On a plateau, where at least half as many measured objects as the batch has share exactly the best value, bounds
    tell candidates apart by what is learned of the plateau only, and a letter that is missing from all of its objects
    may never be tried. There the batch first covers the features (a letter at a position, a substructure) that no
    object of the plateau has, by candidates whose acquisition is not below the plateau's expected value.

    Args:
        bonuses: posterior deviations that are added to the acquisition, one number for each share.
        max_similarity: largest similarity of two picks, as long as there are other candidates.
    """

    kind = "graded"

    def __init__(
        self,
        bonuses: Annotated[Sequence[float], Field(min_length=1)] = (-0.7, -0.7, 0.0, 1.0),
        max_similarity: Annotated[float, Field(ge=0, le=1)] = 0.9,
    ) -> None:
        if not bonuses or not all(map(math.isfinite, bonuses)):
            raise ValueError(f"selector.bonuses: {list(bonuses)} must be finite numbers, at least one")
        if not 0 <= max_similarity <= 1:
            raise ValueError(f"selector.max_similarity: {max_similarity} must be between 0 and 1")
        self.bonuses = tuple(bonuses)
        self.max_similarity = max_similarity

    def select(self, context: SelectionContext) -> list[int]:
        n_picks, X = context.n_picks, context.X
        if not n_picks:
            return []
        deviations = context.predict(X)[1].double().clamp_min(0).sqrt()
        nearest = nearest_pending(X, context.similarity, context.X_pending)
        is_free = torch.ones(len(X), dtype=torch.bool)
        picked: list[int] = []

        def take(row: int) -> None:
            nonlocal nearest
            picked.append(row)
            is_free[row] = False
            nearest = torch.maximum(nearest, context.similarity(X, X[row : row + 1]).double().squeeze(1))

        for row in _covering(context):
            take(row)
        for share, bonus in enumerate(self.bonuses, start=1):
            n = round(n_picks * share / len(self.bonuses))
            order = torch.tensor(best_first(context.scores.double() + bonus * deviations))
            while len(picked) < n:
                stopping.look()
                free = is_free[order]
                is_apart = free & (nearest[order] <= self.max_similarity)
                allowed = is_apart if bool(is_apart.any()) else free
                take(int(order[allowed.int().argmax()]))
        return picked


def _covering(context: SelectionContext) -> list[int]:
    """Return the picks that cover the features which the objects of a plateau lack, those with most of them first."""
    X, X_best, X_pending = context.X, context.X_best, context.X_pending
    if X_best is None or len(X_best) < _PLATEAU * context.n_picks:
        return []
    scores = context.scores.double().nan_to_num(nan=-math.inf)
    rows = (scores >= context.predict(X_best)[0].double().max().to(scores.device)).nonzero().squeeze(1)
    known = X_best if X_pending is None else torch.cat([X_best, X_pending.to(X_best)])
    is_new = (X[rows] > 0) & ~(known > 0).any(0)
    picked: list[int] = []
    while len(picked) < context.n_picks and bool(is_new.any()):
        stopping.look()
        most = is_new.sum(1)
        best = int(scores[rows].masked_fill(most < most.max(), -math.inf).argmax())
        picked.append(int(rows[best]))
        is_new &= ~is_new[best].clone()
    return picked
