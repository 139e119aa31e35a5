"""One pick at a time, with scores recomputed after each."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import best_first, cleaned
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping


class Sequential(Selector):
    """Greedy by the acquisition itself: each pick counts as pending, and scores are recomputed.

    With ``ucb`` that is GP-BUCB (Desautels et al. 2014), with ``log_ei`` the kriging believer (Ginsbourger et al.
    2010): picks keep apart as far as they are informative about one another under the surrogate, without a trade-off
    to choose. Similarity is not used.

    Args:
        lazy: whether to recompute only the scores that can still be the best, given that a pending object never raises
            a score (lazy greedy, Minoux 1978): exact for ``ucb``, ``log_ei`` and ``qlognei``, and in practice good
            for the others. If false, all scores are recomputed after every pick, which is many times slower. Set it to
            false with ``thompson``, so that every pick is the best of a draw of its own.
        block: number of scores recomputed at a time.
    """

    kind = "sequential"

    def __init__(self, lazy: bool = True, block: Annotated[int, Field(ge=1)] = 64) -> None:
        self.lazy = lazy
        self.block = block

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; ties go to the first candidate."""
        bounds = cleaned(context.scores).clone()
        is_free = torch.ones(len(bounds), dtype=torch.bool)
        is_fresh = is_free.clone()
        picked: list[int] = []
        while len(picked) < context.n_picks:
            while True:
                stopping.look()
                order = [i for i in best_first(bounds) if is_free[i]]
                if is_fresh[order[0]]:
                    break
                stale = [i for i in order if not is_fresh[i]][: self.block if self.lazy else None]
                bounds[stale] = cleaned(context.rescore(picked, stale)).to(bounds)
                is_fresh[stale] = True
            picked.append(order[0])
            is_free[order[0]] = False
            is_fresh = torch.zeros_like(is_free)
        return picked
