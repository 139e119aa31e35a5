"""Several measurements of one object."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from al_loop.ledger.records import EvaluationRow
from al_loop.oracles.base import Outcome


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the average of replicates, all of which have values, with its standard error as noise.

    Bounds (``<4``) are left out where exact values are there.

    Args:
        outcomes: at least two outcomes.

    Raises:
        ValueError: all of them are bounds.
    """
    if any(o.censored for o in outcomes):
        outcomes = [o for o in outcomes if not o.censored]
        if not outcomes:
            raise ValueError("several bounds of one object, which have no average; keep the narrowest of them")
        if len(outcomes) == 1:
            return outcomes[0]
    values = [o.values for o in outcomes if o.values is not None]
    columns = list(zip(*values, strict=True))
    return replace(
        outcomes[0],
        values=tuple(statistics.fmean(column) for column in columns),
        noise=tuple(statistics.stdev(column) / math.sqrt(len(column)) for column in columns),
        info={**outcomes[0].info, "replicates": [list(v) for v in values]},
    )


def content(outcome: Outcome | EvaluationRow) -> object:
    """Return the part of an outcome, or of a recorded one, by which results are compared."""
    if outcome.failure is not None:
        return outcome.failure.kind, outcome.failure.reason
    # NaN differs from itself
    return tuple(None if math.isnan(v) else v for v in outcome.values or ()), outcome.censored
