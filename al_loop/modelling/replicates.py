"""Several measurements of one object, which count once: as their mean. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from al_loop.modelling.objectives import Censored
from al_loop.system.plain_values import Bound


@dataclass(frozen=True, eq=False)
class Means:
    """The means of measurements; rows of the same object have the same ones.

    Args:
        values: the means, n x m; NaN where nothing was measured.
        sems: their standard errors, n x m; NaN for a single measurement.
        censored: which of the means are bounds, n.
        counts: number of measurements with a value behind each row, n.
        is_first: whether no row before has the same means, n.
    """

    values: NDArray[np.float64]
    sems: NDArray[np.float64]
    censored: Sequence[Censored]
    counts: NDArray[np.int64]
    is_first: NDArray[np.bool_]


def means(keys: Sequence[Hashable], values: ArrayLike, censored: Sequence[Censored] | None = None) -> Means:
    """Return the means of the rows with the same key; rows without any value are no measurements.

    A mean of exact values and bounds on one side is such a bound; bounds on both sides leave nothing known.

    Args:
        keys: for each row what was measured, such as an object with its fidelity, n.
        values: the values, n x m; NaN where there is none.
        censored: for each row which of its values are bounds; None if all are exact.
    """
    table = np.array(values, dtype=np.float64)
    sems = np.full(table.shape, math.nan)
    bounds: list[Censored] = list(censored or [None] * len(keys))
    counts, is_first = np.ones(len(keys), dtype=np.int64), np.ones(len(keys), dtype=bool)
    if len(set(keys)) == len(keys):
        return Means(table, sems, bounds, counts, is_first)
    rows_of: dict[Hashable, list[int]] = {}
    for row in np.flatnonzero(np.isfinite(table).any(axis=1)).tolist():
        rows_of.setdefault(keys[row], []).append(row)
    for rows in rows_of.values():
        if len(rows) == 1:
            continue
        columns = [
            _mean(table[rows, j], [(bounds[row] or {j: None})[j] for row in rows]) for j in range(table.shape[1])
        ]
        table[rows] = [mean for mean, _, _ in columns]
        sems[rows] = [sem for _, sem, _ in columns]
        sides = tuple(side for _, _, side in columns)
        for row in rows:
            bounds[row] = sides if any(sides) else None
        counts[rows], is_first[rows[1:]] = len(rows), False
    return Means(table, sems, bounds, counts, is_first)


def _mean(values: NDArray[np.float64], sides: Sequence[Bound | None]) -> tuple[float, float, Bound | None]:
    """Return the mean of one value of an object, its standard error, and its side if it is a bound."""
    is_measured = np.isfinite(values)
    known = {side for side, has_value in zip(sides, is_measured, strict=True) if side and has_value}
    values = values[is_measured]
    if not len(values) or len(known) > 1:
        return math.nan, math.nan, None
    sem = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(sem), known.pop() if known else None
