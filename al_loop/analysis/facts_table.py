"""The candidates of a run as columns of plain values, for pages that sort, filter and search them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from al_loop.analysis.meanings import column_meanings

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

_DIGITS = 10  # of a number on a page; exports have all
_PREDICTED_DIGITS = 6
_FIRST = ("candidate", "object", "status", "round")
_LEFT_OUT = ("position", "number", "arrived", "revision", "started", "replicate")
_MOST_NAMES = 200  # distinct texts of a column that is filtered by a list


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """All candidates with their answers, one row each, in the order of their ids.

    Args:
        frame: the table, with a column ``candidate``.
        row_of: the row of each candidate.
    """

    frame: pd.DataFrame
    row_of: dict[int, int]

    def rows(self, ids: Sequence[int] | pd.Index) -> list[int]:
        """Return the rows of some candidates."""
        return [self.row_of[int(id_)] for id_ in ids]


def candidate_facts(run: RunTables, choice: pd.DataFrame, series: pd.Series) -> CandidateTable:
    """Return the table of all candidates.

    Args:
        run: the run.
        choice: why each was chosen, see ``reasons``.
        series: the series of those that have one, by candidate.
    """
    candidates, evaluations = run.candidates, run.evaluations
    new = [name for name in evaluations.columns if name not in candidates.columns]
    frame = candidates.drop(columns=[c for c in _LEFT_OUT if c in candidates]).join(evaluations[new])
    frame = frame.drop(columns=[c for c in _LEFT_OUT if c in frame])
    status = pd.Series("pending", index=frame.index)
    status[frame.index.isin(evaluations.index)] = "measured"
    status[frame.index.isin(evaluations.index[evaluations["failure"].notna()])] = "failed"
    status[[c.id for c in run.ledger.in_flight()]] = "in flight"
    status[sorted(run.ledger.vetoed())] = "vetoed"
    frame = frame.assign(status=status, choice=choice["choice"], nearest=choice["nearest"], chance=choice["chance"])
    frame = frame.assign(series=series.reindex(frame.index))
    frame = frame.reset_index()
    measured = [column for column in run.value_columns if column in frame]
    predicted = [c for c in frame.columns if c.startswith(("predicted_", "value_predicted"))]
    first = [*_FIRST, *measured, *predicted, "chance", "nearest", "choice", "series", "failure", "reason"]
    first = [name for name in first if name in frame]
    frame = frame[[*first, *(name for name in frame.columns if name not in first)]]
    empty = [name for name in frame.columns if name not in _FIRST and name not in measured and _is_empty(frame[name])]
    frame = frame.drop(columns=empty)
    return CandidateTable(frame, {int(id_): i for i, id_ in enumerate(frame["candidate"])})


def encoded(run: RunTables, table: CandidateTable) -> list[dict[str, Any]]:
    """Return the columns as plain values: name, label, unit, meaning, kind, and the cells of each.

    ``kind`` is ``number``, ``text``, ``time``, or ``category``, whose cells are indices of ``names``.

    Args:
        run: the run.
        table: its candidates.
    """
    meanings = column_meanings(run)
    columns = []
    for name in map(str, table.frame.columns):
        meaning, unit = meanings.get(name, ("from the library's file", ""))
        column = {"name": name, "label": label(name), "unit": unit, "meaning": meaning}
        columns.append({**column, **_cells(table.frame[name], name)})
    return columns


def label(name: str) -> str:
    """Return the name of a column for people."""
    return name.replace("_", " ")


def rounded(value: float | None, digits: int = _DIGITS) -> float | int | None:
    """Return a number with as many significant digits, None for one that is not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _cells(cells: pd.Series, name: str) -> dict[str, Any]:
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        texts = cells.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"kind": "time", "cells": [None if text is pd.NaT or text != text else text for text in texts]}
    if pd.api.types.is_bool_dtype(cells.dtype):
        cells = cells.astype("object").map({True: "yes", False: "no"})
    if pd.api.types.is_numeric_dtype(cells.dtype):
        if pd.api.types.is_integer_dtype(cells.dtype):
            return {"kind": "number", "cells": [None if cell is pd.NA else cell for cell in cells.tolist()]}
        predicted = name.startswith("predicted_") or name in ("acquisition", "chance", "nearest", "seconds")
        return {"kind": "number", "cells": _floats(cells, _PREDICTED_DIGITS if predicted else _DIGITS)}
    texts = [None if value is None or value != value else str(value) for value in cells.tolist()]
    names = sorted({text for text in texts if text is not None})
    if name != "object" and len(names) <= _MOST_NAMES:
        index: dict[str | None, int] = {text: i for i, text in enumerate(names)}
        return {"kind": "category", "names": names, "cells": [index.get(text, -1) for text in texts]}
    return {"kind": "text", "cells": texts}


def _floats(cells: pd.Series, digits: int) -> list[float | int | None]:
    values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    return [rounded(value, digits) for value in values.tolist()]


def _is_empty(cells: pd.Series) -> bool:
    return bool((cells.isna() | (cells.astype(object) == "")).all())
