"""The best by score."""

from __future__ import annotations

from al_loop.selectors.base import SelectionContext, Selector


class Greedy(Selector):
    """The q candidates of the highest scores, however alike they are."""

    kind = "greedy"

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; equal scores in the order given, scores that are not a number last."""
        scores = context.scores.nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))
        order: list[int] = scores.sort(descending=True, stable=True).indices[: max(context.n, 0)].tolist()
        return order
