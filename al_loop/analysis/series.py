"""Series: groups of similar objects, each around its best one; and the best objects that differ from each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_loop.analysis.object_kinds import ObjectType
from al_loop.analysis.similarity import Similarities

#: smallest similarity to the best object of a series at which an object belongs to it
THRESHOLDS = {"molecule": 0.3, "sequence": 0.6, "other": 0.5}


@dataclass(frozen=True, eq=False)
class Series:
    """Groups of objects, numbered from 0 by their best object.

    Args:
        of_object: the series of each object, n.
        leaders: the row of the best object of each series.
        threshold: the smallest similarity to the best object.
    """

    of_object: NDArray[np.int64]
    leaders: tuple[int, ...]
    threshold: float

    def members(self, number: int) -> NDArray[np.int64]:
        """Return the rows of the objects of a series, best first."""
        rows: NDArray[np.int64] = np.flatnonzero(self.of_object == number)
        return rows


def group(S: Similarities, object_type: ObjectType) -> Series:
    """Group objects into series, by sphere exclusion in their order.

    The best object leads the first series, to which everything similar to it belongs; the best of the others leads
    the next.

    Args:
        S: similarities of the objects, best first, n x n.
        object_type: what they are.
    """
    threshold = THRESHOLDS[object_type]
    of_object = np.full(len(S), -1, dtype=np.int64)
    leaders: list[int] = []
    for i in range(len(S)):
        if of_object[i] < 0:
            of_object[(of_object < 0) & (S[i] >= threshold)] = len(leaders)
            of_object[i] = len(leaders)
            leaders.append(i)
    return Series(of_object, tuple(leaders), threshold)


def diverse(S: Similarities, k: int, threshold: float) -> list[int]:
    """Return the rows of the k best objects of which no two are more similar than a threshold.

    Args:
        S: similarities of the objects, best first, n x n.
        k: number of objects; fewer are returned if there are not as many.
        threshold: the largest similarity of two of them.
    """
    picks: list[int] = []
    for i in range(len(S)):
        if len(picks) == k:
            break
        if not picks or float(S[i, picks].max()) < threshold:
            picks.append(i)
    return picks
