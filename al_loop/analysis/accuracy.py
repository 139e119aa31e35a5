"""Predictions made before the measurements, beside the measurements: how far to trust the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from al_loop.monitoring.scores import interval_half_width

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

LEVELS = (50, 80, 95)


def calibration(run: RunTables, objective: str | None = None) -> pd.DataFrame:
    """Return one row per measurement that was predicted, indexed by the candidate's id, in order.

    ``z`` is the error in predicted standard deviations, positive where the value is larger than predicted, and
    ``within_80`` says whether the value lies in the central 80 % of what was predicted.

    Args:
        run: the run.
        objective: name of the objective; None: the (first) optimised one.

    Raises:
        ConfigError: there is no such objective.
    """
    column, _ = run.find_objective(objective)
    names = run.prediction_columns(column)
    table = run.target_evaluations
    if names is None:
        table, names = table.iloc[:0], ("predicted_mean", "predicted_std")
    if f"{column}_bound" in table:
        table = table[table[f"{column}_bound"] == ""]  # of a bound, nobody knows the error
    table = table.dropna(subset=[column, *names])
    mean, std, measured = (table[name].to_numpy(dtype=np.float64) for name in (*names, column))
    z = np.divide(measured - mean, std, out=np.full(len(table), np.nan), where=std > 0)
    frame = pd.DataFrame(
        {"object": table["object"], "round": table["round"], "measured": measured, "predicted_mean": mean},
        index=table.index,
    )
    return frame.assign(predicted_std=std, z=z, within_80=np.abs(z) <= interval_half_width(80))


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each central interval of the predictions, the promised and the actual share of measurements in it.

    Args:
        frame: of ``calibration``.
    """
    z = np.abs(frame["z"].dropna().to_numpy(dtype=np.float64))
    rows = [(level / 100, float((z <= interval_half_width(level)).mean()) if len(z) else np.nan) for level in LEVELS]
    return pd.DataFrame(rows, columns=["promised", "actual"]).assign(n=len(z))
