"""What a selector is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

#: similarity in [0, 1] of feature rows: n1 x d, n2 x d -> n1 x n2
Similarity = Callable[[Tensor, Tensor], Tensor]


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
