"""A part of the batch for exploration."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from al_loop.config import Part, build
from al_loop.selectors.base import SelectionContext, Selector, Similarity
from al_loop.selectors.diverse import Diverse
from al_loop.selectors.informed import InformedSelector


class Mixed(InformedSelector):
    """Another selector's picks, and a stated share of the batch by uncertainty or at random.

    A surrogate that is wrong about a region keeps the batch out of it, and is never told. Some picks that do not
    follow the acquisition also say how good the surrogate is where it was not followed. They come last in the batch,
    from the candidates that the sampler drew.

    Args:
        share: of the batch, rounded to the nearest number of picks, halves up.
        by: ``uncertainty`` takes the largest posterior deviations, unlike the other picks and one another (as
            ``diverse`` does it); ``random`` any of the candidates, each as likely.
        selector: who picks the rest, e.g. ``{kind: dpp, trade: 0.3}``.
    """

    kind = "mixed"

    def __init__(
        self,
        share: Annotated[float, Field(ge=0, le=1)] = 0.1,
        by: Literal["uncertainty", "random"] = "uncertainty",
        selector: Part = Part(kind="diverse"),  # noqa: B008  # frozen
    ) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"selector.share: {share} must be between 0 and 1")
        if by not in ("uncertainty", "random"):
            raise ValueError(f"selector.by: {by!r} is not one of uncertainty, random")
        self.share = share
        self.by = by
        self.selector: Selector = build("selector", selector)

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
        n = len(scores)
        wanted = min(q, n)
        n_explored = math.floor(self.share * wanted + 0.5)
        picked = []
        if n_explored < wanted:
            picked = self.selector.select_knowing(facts, wanted - n_explored, scores, X, similarity, X_pending)
        if not n_explored:
            return picked
        taken = set(picked)
        rest = [i for i in range(n) if i not in taken]
        if self.by == "random":
            generator = torch.Generator().manual_seed(facts.seed)
            order = torch.randperm(len(rest), generator=generator).tolist()
            return picked + [rest[i] for i in order[:n_explored]]
        if facts.predict is None:
            raise self.lacks("predict")
        deviation = facts.predict(X[rest])[1].double().sqrt()
        near = X[picked] if X_pending is None else torch.cat([X_pending.to(X), X[picked]])
        explored = Diverse().select(n_explored, deviation, X[rest], similarity, near)
        return picked + [rest[i] for i in explored]
