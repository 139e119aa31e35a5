"""The best by score."""

from __future__ import annotations

from torch import Tensor

from al_loop.selectors.base import Selector, Similarity


class Greedy(Selector):
    """The q candidates of the highest scores, however alike they are."""

    kind = "greedy"

    def select(
        self, q: int, scores: Tensor, X: Tensor, similarity: Similarity, X_pending: Tensor | None = None
    ) -> list[int]:
        """See the base class; equal scores in the order given, scores that are not a number last."""
        known = scores.nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))
        order: list[int] = known.sort(descending=True, stable=True).indices[: max(q, 0)].tolist()
        return order
