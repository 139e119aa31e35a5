"""What a campaign tells whoever watches it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class RoundSummary:
    """One row of the table of rounds; values in the oracle's unit, NaN where there is nothing to say.

    rank_correlation: Spearman's, between what the surrogate predicted of the batch and what was measured.
    seconds: by phase (fit, train, select, evaluate).
    coverage: share of the answers within the central 80 % of what was predicted.
    hypervolume: of several objectives, in the product of their units; then best and top10_mean are of the first one.
    front: how many objects are on the front of best trade-offs.
    """

    number: int
    calls: int
    failures: int
    best: float
    top10_mean: float
    diversity: float
    new_scaffolds: int | None
    rank_correlation: float
    seconds: Mapping[str, float]
    coverage: float = math.nan
    hypervolume: float | None = None
    front: int | None = None


class Phase:
    """A piece of work whose progress can be seen; this one shows nothing."""

    def advance(self, detail: str = "") -> None:
        """One step is done."""


class Reporter:
    """Receives everything that a campaign has to say; this one is silent. Called from several threads."""

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """While a phase of ``total`` steps lasts."""
        yield Phase()

    def round(self, summary: RoundSummary) -> None:
        """A round is over."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def detail(self, message: str) -> None:
        """Something for ``-v``."""
