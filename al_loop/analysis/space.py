"""The objects of a run in the space of structures: series, a map, and structural alerts.

Comparing all pairs of objects takes time and memory with the square of their number, so a large run is represented by
its best results, its open candidates and a regular sample of the others; the numbers say how many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from al_loop.analysis.facts_table import CandidateTable, rounded
from al_loop.analysis.object_kinds import ObjectType, kind_of_objects
from al_loop.analysis.picks import ordered
from al_loop.analysis.series import Series, group
from al_loop.analysis.similarity import MEANING, similarities
from al_loop.analysis.space_map import MOST_ON_MAP, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from al_loop.analysis.tables import RunTables

_MOST_RESULTS = 1500  # best results that are grouped into series
_MOST_PENDING = 100
_MOST_ALERTS = 300  # results that are looked at for structural alerts, best first
_MOST_SERIES = 12  # that are described


@dataclass(frozen=True, eq=False)
class Space:
    """Similarities, series and alerts of a run's objects.

    Args:
        object_type: what the objects are.
        ids: the candidates that were compared, n: the results, best first, then others.
        n_results: number of results among them, which come first.
        series: their series.
        places: the rows of ids that are on the map, and their coordinates; None if there is no map.
        alerts: the structural alerts of the open candidates and of the best results, by candidate.
    """

    object_type: ObjectType
    ids: list[int]
    n_results: int
    series: Series
    places: tuple[list[int], np.ndarray[Any, Any]] | None
    alerts: dict[int, list[str]]

    @property
    def series_of(self) -> pd.Series:
        """The number of the series of each candidate that has one, from 1."""
        return pd.Series(self.series.of_object + 1, index=pd.Index(self.ids, dtype="int64"), dtype="Int64")

    def series_facts(self, table: CandidateTable) -> dict[str, Any]:
        """Return the largest series and those of the best objects: how many, the best of each, the mean rank."""
        numbers = self.series.of_object[: self.n_results]
        sizes = np.bincount(numbers, minlength=len(self.series.leaders)) if len(numbers) else np.zeros(0, dtype=int)
        kept = [int(i) for i in np.argsort(-sizes, kind="stable")[:_MOST_SERIES] if sizes[i] > 1]
        kept = sorted({*kept, *range(min(3, len(sizes)))})
        entries = [
            {
                "number": number + 1,
                "n": int(sizes[number]),
                "best": table.row_of[self.ids[self.series.leaders[number]]],
                "scaffold": self._scaffold(table, number),
            }
            for number in kept
            if sizes[number]
        ]
        return {
            "entries": entries,
            "n_series": int((sizes > 0).sum()),
            "n_objects": int(self.n_results),
            "threshold": self.series.threshold,
            "similarity": MEANING[self.object_type],
        }

    def _scaffold(self, table: CandidateTable, number: int) -> str:
        if self.object_type != "molecule":
            return ""
        from al_loop.analysis.molecules import scaffold_of

        row = table.row_of[self.ids[self.series.leaders[number]]]
        return scaffold_of(str(table.frame["object"][row]))

    def map_facts(self, table: CandidateTable) -> dict[str, Any] | None:
        """Return the rows on the map with their coordinates."""
        if self.places is None:
            return None
        rows, coordinates = self.places
        return {
            "rows": [table.row_of[self.ids[i]] for i in rows],
            "x": [rounded(x, 4) for x in coordinates[:, 0].tolist()],
            "y": [rounded(y, 4) for y in coordinates[:, 1].tolist()],
            "similarity": MEANING[self.object_type],
        }

    def alert_facts(self, table: CandidateTable) -> dict[str, Any] | None:
        """Return each structural alert with the rows that have it, the most frequent first."""
        if self.object_type != "molecule":
            return None
        rows_of: dict[str, list[int]] = {}
        for id_, names in self.alerts.items():
            for name in names:
                rows_of.setdefault(name, []).append(table.row_of[id_])
        entries = [{"alert": name, "rows": rows} for name, rows in rows_of.items()]
        entries.sort(key=lambda entry: (-len(entry["rows"]), str(entry["alert"])))
        return {"n": len(self.alerts), "n_with": sum(map(bool, self.alerts.values())), "entries": entries}


def space_of(run: RunTables, object_type: ObjectType, pending: Sequence[int] = (), *, has_map: bool = True) -> Space:
    """Compare the objects of a run.

    Args:
        run: the run.
        object_type: what they are.
        pending: candidates without an answer, which are compared, too.
        has_map: whether to place objects on a map.
    """
    results = ordered(run, _MOST_RESULTS)
    newest = list(pending)[-_MOST_PENDING:]
    ids = [int(id_) for id_ in results.index]
    ids += [id_ for id_ in newest if id_ not in results.index]
    objects = run.candidates["object"].loc[ids].astype(str).tolist()
    if not ids:
        return Space(object_type, [], 0, Series(np.zeros(0, dtype=np.int64), (), 0.0), None, {})
    S = similarities(objects, object_type)
    series = group(S, object_type)
    places = None
    if has_map:
        n_open = len(ids) - len(results)
        step = max(1, -(-len(results) // max(MOST_ON_MAP - n_open, 1)))
        # the best quarter of the map's places goes to the best results
        rows = sorted({*range(min(len(results), MOST_ON_MAP // 4)), *range(0, len(results), step)})
        rows += range(len(results), len(ids))
        places = (rows, place(S[np.ix_(rows, rows)]))
    return Space(object_type, ids, len(results), series, places, _alerts(object_type, ids, objects, len(results)))


def map_table(run: RunTables) -> pd.DataFrame:
    """Return the objects on the map of a run, indexed by candidate: x, y, object, round, series and optimised values.

    Args:
        run: the run.
    """
    objects = run.candidates["object"].astype(str).tolist()
    pending = [c.id for c in run.ledger.pending()]
    space = space_of(run, kind_of_objects(run.config, objects), pending)
    rows, places = space.places or ([], np.zeros((0, 2)))
    ids = pd.Index([space.ids[i] for i in rows], name="candidate", dtype="int64")
    frame = pd.DataFrame(places, columns=["x", "y"], index=ids)
    frame = frame.join(run.candidates[["object", "round"]]).assign(series=space.series_of.reindex(ids))
    return frame.join(run.evaluations[list(run.optimised)])


def _alerts(
    object_type: ObjectType, ids: Sequence[int], objects: Sequence[str], n_results: int
) -> dict[int, list[str]]:
    if object_type != "molecule":
        return {}
    from al_loop.analysis.molecules import alerts, parse

    rows = [*range(min(n_results, _MOST_ALERTS)), *range(n_results, len(ids))]
    found = alerts(parse([objects[i] for i in rows]))
    return {ids[i]: names for i, names in zip(rows, found, strict=True)}
