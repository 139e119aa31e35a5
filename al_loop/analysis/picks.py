"""The best objects of a run with everything known of them, on demand such that they differ from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from al_loop.analysis.object_kinds import kind_of_objects
from al_loop.analysis.series import THRESHOLDS, diverse
from al_loop.analysis.similarity import similarities
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

_FEWEST, _MOST = 200, 6400  # results among which diverse objects are looked for, at first and at last


def top(run: RunTables, k: int = 10, *, diverse_only: bool = False, threshold: float | None = None) -> pd.DataFrame:
    """Return the k best results, best first; with several objectives, the front and then the best of the first.

    ``rank`` is the place among all results, so that it says what diversity costs.

    Args:
        run: the run.
        k: number of objects.
        diverse_only: whether to leave out what is similar to a better one.
        threshold: the similarity from which on two objects count as similar; None: as for the series of a report.

    Raises:
        ConfigError: k is not positive, or the threshold not between 0 and 1.
    """
    if k < 1:
        raise ConfigError(f"top: k must be at least 1, got {k}")
    if threshold is not None and not 0 < threshold <= 1:
        raise ConfigError(f"top: threshold must be above 0 and at most 1, got {threshold}")
    n = _FEWEST if diverse_only else k
    while True:
        table = ordered(run, n)
        ranked = table.assign(rank=range(1, len(table) + 1))
        if not diverse_only:
            return ranked[:k]
        objects = table["object"].astype(str).tolist()
        kind = kind_of_objects(run.config, objects)
        rows = diverse(similarities(objects, kind), k, THRESHOLDS[kind] if threshold is None else threshold)
        if len(rows) == k or len(table) < n or n >= _MOST:
            return ranked.iloc[rows]
        n *= 4


def ordered(run: RunTables, n: int) -> pd.DataFrame:
    """Return the n best results, best first; with several objectives, the front and then the best of the first one."""
    if len(run.optimised) == 1:
        return run.best(n)
    front, others = run.front(), run.best(n)
    return pd.concat([front, others[~others.index.isin(front.index)]])[:n]
