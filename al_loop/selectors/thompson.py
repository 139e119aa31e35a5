"""Batched Thompson sampling: each pick is the best of a draw of its own."""

from __future__ import annotations

import torch

from al_loop.selectors._similarities import best_first
from al_loop.selectors.base import SelectionContext, Selector


class Thompson(Selector):
    """Each pick is the best remaining candidate under a joint draw of its own from the posterior.

    That is batched Thompson sampling (Kandasamy et al. 2018): an object enters the batch as often as it is likely to be
    the best, so that the batch explores as far as the surrogate is uncertain, and no further. The acquisition only
    decides which objects of a large pool become candidates.
    """

    kind = "thompson"

    def select(self, context: SelectionContext) -> list[int]:
        if not context.n_picks:
            return []
        order = torch.tensor(best_first(context.scores))
        is_free = torch.ones(len(order), dtype=torch.bool)
        picked: list[int] = []
        for values in context.draw(context.X[order], context.n_picks, context.seed):
            best = int(values.masked_fill(~is_free, -torch.inf).argmax())
            is_free[best] = False
            picked.append(int(order[best]))
        return picked
