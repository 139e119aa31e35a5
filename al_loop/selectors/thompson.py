"""Each pick the best of a draw of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from al_loop.selectors._similarities import best_first
from al_loop.selectors.base import SelectionContext, Similarity
from al_loop.selectors.informed import InformedSelector


class Thompson(InformedSelector):
    """Each pick is the best, among those not picked yet, of a joint draw of its own from the posterior.

    That is batched Thompson sampling (Kandasamy et al. 2018): an object gets into the batch as often as it is believed
    to be the best there is, so that the batch explores as far as the surrogate is unsure, and no further. The
    acquisition has no say but for which objects of a large pool are looked at.
    """

    kind = "thompson"

    def select_knowing(
        self,
        facts: SelectionContext,
        q: int,
        scores: Tensor,
        X: Tensor,
        similarity: Similarity,
        X_pending: Tensor | None = None,
    ) -> list[int]:
        """See the base class."""
        if facts.draw is None:
            raise self.lacks("draw")
        wanted = min(q, len(scores))
        if not wanted:
            return []
        order = torch.tensor(best_first(scores))
        is_free = torch.ones(len(scores), dtype=torch.bool)
        picked: list[int] = []
        for drawn in facts.draw(X[order], wanted, facts.seed):
            best = int(drawn.masked_fill(~is_free, -torch.inf).argmax())
            is_free[best] = False
            picked.append(int(order[best]))
        return picked
