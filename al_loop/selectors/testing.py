"""The contract of selectors, as tests: subclass SelectorContract in your own test file and run pytest."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from al_loop.selectors.base import SelectionContext, Selector


def _similarity(X1: Tensor, X2: Tensor) -> Tensor:
    """Return the Tanimoto similarity of counts, n1 x n2."""
    minima = torch.minimum(X1.unsqueeze(1), X2.unsqueeze(0)).sum(-1)
    maxima = torch.maximum(X1.unsqueeze(1), X2.unsqueeze(0)).sum(-1)
    return torch.where(maxima == 0, 1.0, minima / maxima).double()


class SelectorContract:
    """Base class for the tests of one selector.

    Subclass it under a name that starts with ``Test``, and implement ``make``::

        class TestMySelector(SelectorContract):
            def make(self) -> Selector:
                return MySelector()

    The candidates are molecules, and every field of the context is there.
    """

    #: whether the first pick, without pending objects, is the candidate of the highest score
    is_first_pick_the_best: ClassVar[bool] = True

    def make(self) -> Selector:
        """Return a new selector, built from the same arguments each time."""
        raise NotImplementedError(f"{type(self).__name__} must implement make()")

    def context(
        self, n: int, n_candidates: int = 50, X_pending: Tensor | None = None, **fields: Any
    ) -> SelectionContext:
        """Return a context with every field.

        Args:
            n: how many to pick.
            n_candidates: number of candidates.
            X_pending: p x 10 rows.
            fields: to replace.
        """
        X, scores = self.rows(n_candidates, seed=0), self.scores(n_candidates)

        def rescore(picked: Sequence[int], indices: Sequence[int]) -> Tensor:
            return scores[list(indices)] - _similarity(X[list(indices)], X[list(picked)]).max(1).values

        def draw(rows: Tensor, k: int, seed: int) -> Tensor:
            return torch.randn(k, len(rows), generator=torch.Generator().manual_seed(seed)).double()

        context = SelectionContext(
            n=n,
            scores=scores,
            X=X,
            similarity=_similarity,
            X_pending=X_pending,
            objects=["C" * (i % 10 + 1) + "c1ccccc1"[: 8 * (i % 2)] for i in range(n_candidates)],
            pending_objects=["CC"],
            rescore=rescore,
            predict=lambda rows: (rows.sum(-1), 1 / (1 + rows[:, 0])),
            draw=draw,
            seed=5,
        )
        return replace(context, **fields)

    def rows(self, n: int, seed: int) -> Tensor:
        """Return n random rows of counts: n x 10."""
        return torch.from_numpy(np.random.default_rng(seed).integers(0, 3, (n, 10)).astype(float))

    def scores(self, n: int) -> Tensor:
        """Return n different scores."""
        return torch.from_numpy(np.random.default_rng(2).normal(size=n))

    @pytest.mark.parametrize("n_pending", [None, 0, 4])
    @pytest.mark.parametrize(("n", "n_candidates"), [(0, 50), (1, 50), (10, 50), (50, 50), (80, 50), (3, 0), (3, 1)])
    def test_it_picks_as_many_different_candidates_as_there_can_be(
        self, n_pending: int | None, n: int, n_candidates: int
    ) -> None:
        X_pending = None if n_pending is None else self.rows(n_pending, seed=1)
        picked = self.make().select(self.context(n, n_candidates, X_pending))
        assert len(picked) == len(set(picked)) == min(n, n_candidates)
        assert all(isinstance(i, int) and 0 <= i < n_candidates for i in picked)

    def test_it_is_deterministic_and_leaves_the_context_alone(self) -> None:
        X_pending = self.rows(4, seed=1)
        context = self.context(12, X_pending=X_pending)
        tensors = context.scores.clone(), context.X.clone(), X_pending.clone()
        torch.manual_seed(1)
        picked = self.make().select(context)
        torch.manual_seed(2)
        assert self.make().select(context) == picked
        assert pickle.loads(pickle.dumps(self.make())).select(context) == picked
        for before, after in zip(tensors, (context.scores, context.X, X_pending), strict=True):
            assert torch.equal(before, after)

    def test_the_first_pick_without_pending_objects_is_the_best(self) -> None:
        if not self.is_first_pick_the_best:
            pytest.skip("it does not go by scores alone")
        context = self.context(8, pending_objects=())
        assert self.make().select(context)[0] == int(context.scores.argmax())

    def test_scores_that_are_not_numbers_still_give_a_batch(self) -> None:
        scores = torch.full((50,), float("nan"))
        context = self.context(5, scores=scores, rescore=lambda _, indices: scores[list(indices)])
        assert len(set(self.make().select(context))) == 5
