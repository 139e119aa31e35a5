"""The most likely batch of a determinantal point process."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import Similarities, best_first, cleaned
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.selectors.diverse import scaled
from al_loop.system import stopping

#: added to the similarity of an object to itself, so that equal objects can be picked when no others remain
_RIDGE = 1e-6


class DPP(Selector):
    """High scores and joint diversity: greedy MAP of a determinantal point process (Chen et al. 2018).

    The batch is grown by the candidate that adds most to (1 - trade) * sum of scores + trade * log det S, where S is
    the similarity matrix of the batch (and of the pending objects, which count as picked first). The determinant is
    the squared volume that the picks span: three objects that are pairwise acceptable but together redundant lose,
    which the similarity to the nearest pick alone would not reveal. Scores are scaled as in ``diverse``: the
    candidates' median is 0, their best 1.

    Args:
        trade: weight of the determinant against scores: 0 uses scores alone, 1 the determinant alone.
    """

    kind = "dpp"

    def __init__(self, trade: Annotated[float, Field(ge=0, le=1)] = 0.5) -> None:
        if not 0 <= trade <= 1:
            raise ValueError(f"selector.trade: {trade} must be between 0 (scores alone) and 1 (the determinant alone)")
        self.trade = trade

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; ties go to the higher score, then to the first candidate.

        The similarity must be positive semi-definite, as those of the built-in features are.
        """
        n, rows, similarity = len(context.scores), context.n_picks, context.similarity
        order = best_first(context.scores)
        X = context.X[order]
        value_of_score = (1 - self.trade) * scaled(cleaned(context.scores)[order])
        similarities = Similarities(X, similarity, rows)
        # column i of `whitened` is L^-1 S(batch, i), and `unspanned` the part of S(i, i) that the batch does not span
        whitened = torch.zeros(rows, n, dtype=torch.float64)
        unspanned = torch.full((n,), 1.0 + _RIDGE, dtype=torch.float64)
        if context.X_pending is not None and n:
            X_pending = context.X_pending
            own = similarity(X_pending, X_pending).double()
            L = torch.linalg.cholesky(own + _RIDGE * torch.eye(len(own), dtype=own.dtype))
            before = torch.linalg.solve_triangular(L, similarity(X_pending, X).double(), upper=False)
            whitened = torch.cat([before, whitened])
            unspanned = unspanned - before.square().sum(0)
        first = len(whitened) - rows
        is_free = torch.ones(n, dtype=torch.bool)
        picked: list[int] = []
        for row in range(first, first + rows):
            stopping.look()
            unspanned = unspanned.clamp_min(_RIDGE)
            value = (value_of_score + self.trade * unspanned.log()).masked_fill(~is_free, -float("inf"))
            best = int(value.numpy().argmax())  # NumPy promises the first of equals
            picked.append(best)
            is_free[best] = False
            added = (similarities[best] - whitened[:row].T @ whitened[:row, best]) / unspanned[best].sqrt()
            whitened[row] = added
            unspanned = unspanned - added.square()
        return [order[i] for i in picked]
