"""Selection by score alone."""

from __future__ import annotations

from al_loop.selectors.base import SelectionContext, Selector


class Greedy(Selector):
    """The candidates of the highest scores, however similar they are."""

    kind = "greedy"

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks: equal scores in the given order, NaN last."""
        scores = context.scores.nan_to_num(nan=-float("inf"), posinf=float("inf"), neginf=-float("inf"))
        order: list[int] = scores.sort(descending=True, stable=True).indices[: max(context.n, 0)].tolist()
        return order
