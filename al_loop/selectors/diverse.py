"""Maximal marginal relevance: high scores and little similarity."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from al_loop.selectors._similarities import nearest_pending
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping


class Diverse(Selector):
    """Greedy maximal marginal relevance: high scores, little similarity (Carbonell & Goldstein 1998).

    Each pick maximises (1 - trade) * score - trade * (largest similarity to a pick or a pending object).
    Scores are scaled so that the candidates' median is 0 and their best 1, and cut off at -1: the good half then lies
    in [0, 1] as similarity does, whatever the acquisition's unit; relative distances between scores are preserved
    (ranks would lose them), and bad outliers have no influence (unlike on a standard deviation).

    Args:
        trade: weight of similarity against scores: 0 uses scores alone, 1 similarity alone.
        max_similarity: candidates more similar than this to a pick or a pending object are picked only when no others
            remain.
    """

    kind = "diverse"

    def __init__(
        self,
        trade: Annotated[float, Field(ge=0, le=1)] = 0.5,
        max_similarity: Annotated[float, Field(ge=0, le=1)] | None = None,
    ) -> None:
        if not 0 <= trade <= 1:
            raise ValueError(f"selector.trade: {trade} must be between 0 (scores alone) and 1 (similarity alone)")
        if max_similarity is not None and not 0 <= max_similarity <= 1:
            raise ValueError(f"selector.max_similarity: {max_similarity} must be between 0 and 1")
        self.trade = trade
        self.max_similarity = max_similarity

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; ties go to the higher score, then to the first candidate."""
        n, similarity = len(context.scores), context.similarity
        # best first, so that the first of equal values has the highest score
        scores = context.scores.double().nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))
        order = scores.sort(descending=True, stable=True).indices
        value_of_score = (1 - self.trade) * scaled(scores[order])
        X = context.X[order]
        nearest = nearest_pending(X, similarity, context.X_pending)
        is_free = torch.ones(n, dtype=torch.bool)
        picked: list[int] = []
        for _ in range(context.n_picks):
            stopping.look()
            is_allowed = is_free
            if self.max_similarity is not None:
                is_apart = is_free & (nearest <= self.max_similarity)
                is_allowed = is_apart if bool(is_apart.any()) else is_free
            value = (value_of_score - self.trade * nearest).masked_fill(~is_allowed, -float("inf"))
            best = int(value.numpy().argmax())  # NumPy promises the first of equals
            picked.append(best)
            is_free = is_free.clone()
            is_free[best] = False
            nearest = torch.maximum(nearest, similarity(X, X[best : best + 1]).double().squeeze(1))
        return [int(order[i]) for i in picked]


def scaled(scores: Tensor) -> Tensor:
    """Return scores with their median at 0 and their best at 1, not below -1; infinite ones as the finite extremes."""
    finite = scores[scores.isfinite()]
    if not len(finite):
        return scores.isposinf().double()
    median, best = finite.median(), finite.max()
    if best <= median:
        return (scores > median).double()
    return ((scores - median) / (best - median)).clamp(-1.0, 1.0)
