"""The tables of candidates and answers as data frames, from columns of the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from al_loop.analysis.results import Results, Rows, matrix
from al_loop.datafiles.cells import parse_number
from al_loop.ledger.columns import Columns
from al_loop.ledger.records import RoundRow
from al_loop.modelling.objective_names import predicted_columns
from al_loop.modelling.objectives import CampaignObjectives
from al_loop.monitoring.predictions import recorded_predictions
from al_loop.oracles.base import Objective

CALL_COLUMNS = ("cost", "seconds", "started", "finished", "worker", "attempts", "number", "arrived", "revision")
_MAX_DIGITS = 15  # of a number that a float holds exactly
PREDICTION_COLUMNS = ("predicted_mean", "predicted_std")


def candidate_table(columns: Columns, objectives: CampaignObjectives, rounds: Sequence[RoundRow]) -> pd.DataFrame:
    """Return one row per candidate, indexed by its id.

    Args:
        columns: of all candidates, see ``ledger.columns``.
        objectives: what the campaign optimises.
        rounds: all rounds, which hold the predictions of several objectives.
    """
    details = columns["details"]
    left_out = {"details"} if any(columns["replicate"]) else {"details", "replicate"}
    frame = pd.DataFrame({name: cells for name, cells in columns.items() if name not in left_out})
    frame = frame.rename(columns={"id": "candidate"}).set_index("candidate")
    frame = frame.astype({**dict.fromkeys((*PREDICTION_COLUMNS, "acquisition"), float), "round": int, "position": int})
    if not objectives.are_several:
        return _with_details(frame, details)
    predicted = pd.DataFrame(_predictions(columns, objectives, rounds), index=frame.index)
    frame = frame.drop(columns=list(PREDICTION_COLUMNS))
    frame = pd.concat([frame.drop(columns="acquisition"), predicted, frame["acquisition"]], axis=1)
    return _with_details(frame, details)


def _with_details(frame: pd.DataFrame, details: Sequence[Mapping[str, Any] | None]) -> pd.DataFrame:
    """Return a table with what the library says about each object, in further columns."""
    names = list(dict.fromkeys(name for entry in details if entry for name in entry))
    if not names:
        return frame
    cells = {
        f"library_{name}" if name in frame.columns or name == frame.index.name else name: _typed(
            [(entry or {}).get(name) for entry in details]
        )
        for name in names
    }
    return pd.concat([frame, pd.DataFrame(cells, index=frame.index)], axis=1)


def evaluation_table(
    columns: Columns,
    value_columns: Mapping[str, Objective],
    objectives: CampaignObjectives,
    rounds: Sequence[RoundRow],
) -> pd.DataFrame:
    """Return one row per answer, indexed by the candidate's id.

    Args:
        columns: of the latest answers, see ``ledger.columns``.
        value_columns: everything that the oracle measures, by its column.
        objectives: what the campaign optimises and bounds.
        rounds: all rounds, which hold the predictions of several objectives.
    """
    n_values = len(value_columns)
    values = matrix(columns["values"], n_values)
    table: dict[str, Any] = {"object": columns["object"], "round": columns["round"]}
    table |= {column: values[:, j] for j, column in enumerate(value_columns)}
    if any(noise is not None for noise in columns["noise"]):
        noise = matrix(columns["noise"], n_values)
        for j, column in enumerate(value_columns):
            name = f"{column}_std" if f"{column}_std" not in value_columns else f"{column}_noise_std"
            table[name] = noise[:, j]
    if any(columns["censored"]):  # "<" for a value of which only an upper bound is known
        for j, column in enumerate(value_columns):
            table[f"{column}_bound"] = [(sides or {j: None})[j] or "" for sides in columns["censored"]]
    table |= {"failure": columns["failure_kind"], "reason": columns["failure_reason"]}
    table |= {name: columns[name] for name in CALL_COLUMNS}
    table |= {**_predictions(columns, objectives, rounds), "origin": columns["origin"]}
    if any(columns["replicate"]):
        table["replicate"] = columns["replicate"]
    if objectives.bounds:
        table["within_bounds"] = objectives.within_bounds(values, columns["censored"])
    frame = pd.DataFrame(table, index=pd.Index(columns["candidate_id"], name="candidate", dtype="int64"))
    frame = frame.astype({"cost": float, **dict.fromkeys(("round", "attempts", "number", "arrived", "revision"), int)})
    for name in ("failure", "reason", "worker", "origin"):  # pandas 2 would turn None into the text "None"
        frame[name] = frame[name].astype("str").where(frame[name].notna())
    times = {name: pd.to_datetime(frame[name], utc=True, format="ISO8601") for name in ("started", "finished")}
    return _with_details(frame.assign(**times), columns["details"])


def with_means(frame: pd.DataFrame, results: Results, rows: Rows, value_columns: Sequence[str]) -> pd.DataFrame:
    """Return evaluations with the means of several measurements of one object, if there are any in the run.

    Args:
        frame: the evaluations of some answers.
        results: all answers.
        rows: those of the frame.
        value_columns: the columns of everything that the oracle measures.
    """
    means = results.means
    if not (means.counts > 1).any():
        return frame
    table: dict[str, Any] = {}
    for j, column in enumerate(value_columns):
        table[column] = means.values[rows, j]
        if f"{column}_bound" in frame:
            table[f"{column}_bound"] = [(means.censored[row] or {j: None})[j] or "" for row in rows]
        table[f"{column}_sem" if f"{column}_sem" not in value_columns else f"{column}_mean_sem"] = means.sems[rows, j]
    if "within_bounds" in frame:
        table["within_bounds"] = True
    return frame.assign(**table, n_measurements=means.counts[rows])


def _typed(cells: Sequence[Any]) -> list[Any]:
    """Return cells as numbers if all of them are, and none of them is a name such as 007."""
    is_name = any(
        re.match(r"[+-]?0\d", str(cell)) or len(str(cell)) > _MAX_DIGITS for cell in cells if cell is not None
    )
    numbers = [None if cell is None else parse_number(str(cell)) for cell in cells]
    are_numbers = all((number is None) == (cell is None) for number, cell in zip(numbers, cells, strict=True))
    return numbers if are_numbers and not is_name else list(cells)


def _predictions(
    columns: Columns, objectives: CampaignObjectives, rounds: Sequence[RoundRow]
) -> dict[str, NDArray[np.float64]]:
    """Return the columns of the predictions of each optimised objective."""
    names = [name for pair in predicted_columns(objectives.names) for name in pair]
    if not objectives.are_several:
        return {name: np.array(columns[name], dtype=np.float64) for name in names}
    predicted = recorded_predictions(rounds, columns["round"], columns["position"], len(objectives))
    return {name: predicted[:, i] for i, name in enumerate(names)}
