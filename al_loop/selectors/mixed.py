"""Another selector, and a share of the batch for exploration."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from al_loop.config import Part, build
from al_loop.selectors.base import SelectionContext, Selector
from al_loop.selectors.diverse import Diverse


class Mixed(Selector):
    """Another selector's picks, and a share of the batch by uncertainty or at random.

    A surrogate that is wrong about a region keeps the batch out of it, and so is never corrected. Picks that ignore the
    acquisition also measure how good the surrogate is elsewhere. They come last in the batch, from the candidates that
    the sampler drew.

    Args:
        share: fraction of the batch, rounded to the nearest number of picks, halves up.
        by: ``uncertainty`` picks the largest posterior deviations, dissimilar to the other picks and to one another
            (by ``diverse``); ``random`` any of the candidates, all equally likely.
        selector: what picks the rest, e.g. ``{kind: dpp, trade: 0.3}``.
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
        self.bonuses = self.selector.bonuses

    def select(self, context: SelectionContext) -> list[int]:
        n_picks, X, X_pending = context.n_picks, context.X, context.X_pending
        n_explored = math.floor(self.share * n_picks + 0.5)
        picked = []
        if n_explored < n_picks:
            picked = self.selector.select(replace(context, n=n_picks - n_explored))
        if not n_explored:
            return picked
        taken = set(picked)
        rest = [i for i in range(len(context.scores)) if i not in taken]
        if self.by == "random":
            generator = torch.Generator().manual_seed(context.seed)
            order = torch.randperm(len(rest), generator=generator).tolist()
            return picked + [rest[i] for i in order[:n_explored]]
        deviations = context.predict(X[rest])[1].double().sqrt()
        near = X[picked] if X_pending is None else torch.cat([X_pending.to(X), X[picked]])
        explored = Diverse().select(SelectionContext(n_explored, deviations, X[rest], context.similarity, near))
        return picked + [rest[i] for i in explored]
