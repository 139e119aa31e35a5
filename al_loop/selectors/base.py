"""What a selector is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

#: similarity in [0, 1] of feature rows: n1 x d, n2 x d -> n1 x n2
Similarity = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class SelectionContext:
    """What some selectors ask of a round beside scores and features; what is None is not known.

    Args:
        objects: the candidates, n.
        pending_objects: what is being measured, p.
        rescore: (picked, asked) -> the scores that the candidates at the indices ``asked`` have once those at the
            indices ``picked`` are pending too.
        predict: posterior mean and variance of single feature rows, n x d -> n, n; larger is better.
        draw: (rows n x d, how many k, seed) -> k joint draws from the posterior of their values, k x n.
        seed: of random choices, one for each round.
    """

    objects: Sequence[str] | None = None
    pending_objects: Sequence[str] | None = None
    rescore: Callable[[Sequence[int], Sequence[int]], Tensor] | None = None
    predict: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    draw: Callable[[Tensor, int, int], Tensor] | None = None
    seed: int = 0


class Selector(ABC):
    """Picks a batch from candidates that the sampler drew. Deterministic."""

    @abstractmethod
    def select(
        self, q: int, scores: Tensor, X: Tensor, similarity: Similarity, X_pending: Tensor | None = None
    ) -> list[int]:
        """Indices of the min(q, n) picked candidates, in the order of picking.

        scores: acquisition values, n, larger is better. X: features, n x d. X_pending: features of what is being
        measured, p x d; the batch should keep away from it.
        """

    def select_knowing(
        self,
        facts: SelectionContext,
        q: int,
        scores: Tensor,
        X: Tensor,
        similarity: Similarity,
        X_pending: Tensor | None = None,
    ) -> list[int]:
        """As ``select``, told more of the round; most selectors need none of it, and ``select`` is all they define."""
        return self.select(q, scores, X, similarity, X_pending)
