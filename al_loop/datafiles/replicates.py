"""Several measurements of one object."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from al_loop.oracles.base import Outcome


def average(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the average of replicates, all of which have values, with its standard error as noise.

    Args:
        outcomes: at least two outcomes.
    """
    values = [o.values for o in outcomes if o.values is not None]
    columns = list(zip(*values, strict=True))
    return replace(
        outcomes[0],
        values=tuple(statistics.fmean(column) for column in columns),
        noise=tuple(statistics.stdev(column) / math.sqrt(len(column)) for column in columns),
        info={**outcomes[0].info, "replicates": [list(v) for v in values]},
    )


def content(outcome: Outcome) -> object:
    """Return the part of an outcome by which results are compared."""
    return outcome.values if outcome.failure is None else (outcome.failure.kind, outcome.failure.reason)
