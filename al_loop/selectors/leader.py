"""Leader clustering: the best of each cluster first."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from al_loop.selectors._similarities import Similarities, best_first, nearest_pending
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.system import stopping


class Leader(Selector):
    """The best of each cluster, then the second best of each, ... (leader clustering, Hartigan 1975).

    In order of falling scores, each candidate whose similarity to every leader so far is below ``threshold`` becomes a
    leader; the others join the best leader to which they are that similar. Clusters come in the order of their
    leaders' scores. Candidates that similar to a pending object form one more cluster, whose best counts as picked.

    Args:
        threshold: similarity from which two candidates belong together. Tanimoto similarities of Morgan fingerprints:
            0.3 is loosely related, 0.65 close analogues.
    """

    kind = "leader"

    def __init__(self, threshold: Annotated[float, Field(gt=0, le=1)] = 0.5) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"selector.threshold: {threshold} must be above 0 and at most 1")
        self.threshold = threshold

    def select(self, context: SelectionContext) -> list[int]:
        """Return the picks; equal scores in the given order."""
        n_picks, similarity = context.n_picks, context.similarity
        order = best_first(context.scores)
        X = context.X[order]
        similarities = Similarities(X, similarity, n_picks)
        is_near_pending = nearest_pending(X, similarity, context.X_pending) >= self.threshold
        leaders: list[int] = []
        clusters: list[list[int]] = []
        is_free = ~is_near_pending
        while len(leaders) < n_picks and bool(is_free.any()):
            stopping.look()
            leader = int(torch.argmax(is_free.int()))  # the first
            is_member = is_free & (similarities[leader] >= self.threshold)
            is_member[leader] = True
            leaders.append(leader)
            clusters.append([i for i in torch.nonzero(is_member).flatten().tolist() if i != leader])
            is_free &= ~is_member
        near_pending: list[int] = torch.nonzero(is_near_pending).flatten().tolist()
        picked = list(leaders)
        followers = [*clusters, near_pending]
        rank = 0
        while len(picked) < n_picks:
            picked += [members[rank] for members in followers if rank < len(members)]
            rank += 1
        return [order[i] for i in picked[:n_picks]]
