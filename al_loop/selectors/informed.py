"""Selectors that need to be told more than scores and features."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from al_loop.selectors.base import SelectionContext, Selector, Similarity


class InformedSelector(Selector):
    """A selector that defines ``select_knowing`` in place of ``select``."""

    kind: str

    def select(
        self, q: int, scores: Tensor, X: Tensor, similarity: Similarity, X_pending: Tensor | None = None
    ) -> list[int]:
        """See the base class.

        Raises:
            ValueError: without facts it cannot select.
        """
        return self.select_knowing(SelectionContext(), q, scores, X, similarity, X_pending)

    @abstractmethod
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

    def lacks(self, name: str) -> ValueError:
        """The error to raise where a fact is missing."""
        return ValueError(f"selector.kind: {self.kind!r} needs SelectionContext.{name}; call select_knowing with it")
