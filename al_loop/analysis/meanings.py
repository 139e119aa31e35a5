"""The meaning and the unit of every column of a run's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

Meaning = tuple[str, str]

_MEANINGS: dict[str, Meaning] = {
    "candidate": ("number of the candidate, which orders all of a campaign", ""),
    "object": ("the object, such as a SMILES string or a sequence", ""),
    "round": ("round that proposed it; 0 is the first batch", ""),
    "position": ("position within the batch of its round, from 0", ""),
    "origin": (
        "who proposed it: sampler, pool, random, seed, nearby, reached, remeasured, pinned or told (people), imported",
        "",
    ),
    "fidelity": ("fidelity at which it is measured; empty if the oracle has only one", ""),
    "acquisition": ("value of the acquisition when it was chosen; larger is more promising", ""),
    "replicate": ("0 for the first measurement of an object, larger for each further one", ""),
    "status": ("measured, failed, pending, in flight, or vetoed", ""),
    "choice": ("why it was chosen: promising, exploring, in between, random, or by people", ""),
    "nearest": ("similarity to the nearest object measured before, by the campaign's features", "0 to 1"),
    "chance": ("probability, by its prediction, to beat the best value known when it was chosen", "0 to 1"),
    "best_before": ("best value that was known when it was chosen", ""),
    "series": ("number of its group of similar objects; 1 is the group of the best object", ""),
    "failure": ("kind of failure: permanent, retryable, timeout, ...; missing if there is a value", ""),
    "reason": ("reason for the failure, in the oracle's words", ""),
    "cost": ("cost of its calls", "currency of the oracle"),
    "seconds": ("duration of the last call", "s"),
    "started": ("start of the last call", "time, UTC"),
    "finished": ("arrival of the answer", "time, UTC"),
    "worker": ("the worker or person that answered", ""),
    "attempts": ("calls of the oracle that the answer took", "calls"),
    "number": ("place of the answer in the order of arrival, from 1", ""),
    "arrived": ("round that was open when the answer arrived", ""),
    "revision": ("number of earlier answers that this one corrects", ""),
    "within_bounds": ("whether the answer keeps all bounds on outcomes", ""),
    "n_measurements": ("number of measurements of this object, whose mean is shown", ""),
    "opened": ("time when the batch was committed", "time, UTC"),
    "closed": ("time of the round's report; missing while it is open", "time, UTC"),
    "proposed": ("candidates of the round", ""),
    "answered": ("candidates of the round that have an answer", ""),
    "failed": ("candidates of the round whose answer is a failure", ""),
    "calls": ("answers so far", ""),
    "failures": ("failures among the answers that arrived in the round", ""),
    "best": ("best value so far", "unit of the objective"),
    "top10_mean": ("mean of the ten best values so far", "unit of the objective"),
    "hypervolume": ("hypervolume of the front so far", "product of the units"),
    "front": ("objects on the Pareto front so far", ""),
    "diversity": ("mean distance (1 - similarity) within the batch", "0 to 1"),
    "new_scaffolds": ("Bemis-Murcko scaffolds that the round added", ""),
    "rank_correlation": ("Spearman's correlation of predicted and measured values", "-1 to 1"),
    "oracle_utilisation": ("share of the oracle workers' time that went into calls", "0 to 1"),
    "seed": ("seed of the round", ""),
    "measured": ("measured value", "unit of the objective"),
    "z": ("error in predicted standard deviations; positive if the value is larger than predicted", ""),
    "within_80": ("whether the value lies in the central 80 % of its prediction", ""),
    "x": ("coordinate on the map; only nearness has a meaning", "0 to 1"),
    "y": ("coordinate on the map; only nearness has a meaning", "0 to 1"),
    "attempt": ("number of the call for this candidate, from 1", ""),
    "outcome": ("value, failed, repeated, void, or in flight", ""),
    "rank": ("place among the results, 1 is the best; of a diverse selection, places are left out", ""),
    "error": ("type of the exception, if one was raised", ""),
    "file": ("file in which it was raised", ""),
    "line": ("line in that file", ""),
    "traceback": ("traceback of the exception", ""),
    "output": ("what the oracle printed during the call", ""),
    "log": ("file with the worker's output", ""),
    "message": ("the finding or the error in words", ""),
    "alarm": ("kind of alarm: miscalibration, exploitation, ...", ""),
    "expected_improvement": ("improvement that the batch was expected to bring", "unit of the objective"),
    "probability": ("probability that the batch improves on the best value", "0 to 1"),
    "expected_best": ("best value expected after the batch", "unit of the objective"),
    "objective": ("name of the objective", ""),
    "distance": ("which predictions: all, or those near to, at a medium distance from and far from the data", ""),
    "n": ("number of predictions that were measured", ""),
    "rmse": ("root mean square error of the predictions", "unit of the objective"),
    "nlpd": ("mean negative log density of the values under their predictions; lower is better", ""),
    "bias": ("mean error of the predictions, in predicted standard deviations", ""),
    "squared": ("mean squared error of the predictions, in predicted variances; 1 if the intervals are right", ""),
    "coverage_50": ("share of the values in the central 50 % of their predictions", "0 to 1"),
    "coverage_80": ("share of the values in the central 80 % of their predictions", "0 to 1"),
    "coverage_95": ("share of the values in the central 95 % of their predictions", "0 to 1"),
    "low": ("10 % quantile of the best value after the batch", "unit of the objective"),
    "high": ("90 % quantile of the best value after the batch", "unit of the objective"),
}
_PREFIXES = (
    ("seconds_", "duration of this phase of the round", "s"),
    ("info.forecast.", "forecast of the batch before it was measured", "unit of the objective"),
    ("info.", "detail of the round's model or sampler", ""),
    ("predictions.", "score of the predictions of what arrived in the round", ""),
    ("alarms.", "alarm of the round", ""),
    ("metric_", "metric of the round", ""),
)
#: the columns of tables that take long to compute
_MAP = ("candidate", "x", "y", "object", "round", "series")


def column_meanings(run: RunTables) -> dict[str, Meaning]:
    """Return the meaning and the unit of columns by their names, the run's own objectives included.

    Args:
        run: the run.
    """
    meanings = dict(_MEANINGS)
    for column, objective in run.value_columns.items():
        goal = {"maximise": "higher is better", "minimise": "lower is better"}[objective.goal]
        role = f"optimised, {goal}" if column in run.optimised else "measured"
        meanings[column] = (f"measured {objective.name}; {role}", objective.unit)
        for suffix, text in (
            ("_std", "standard deviation of the measurement, as the oracle reports it"),
            ("_noise_std", "standard deviation of the measurement, as the oracle reports it"),
            ("_sem", "standard error of the mean of several measurements"),
            ("_mean_sem", "standard error of the mean of several measurements"),
        ):
            meanings.setdefault(f"{column}{suffix}", (f"{text}: {objective.name}", objective.unit))
        bound = f'"<" or ">" if only this bound of {objective.name} is known, else empty'
        meanings.setdefault(f"{column}_bound", (bound, ""))
        if (names := run.prediction_columns(column)) is not None:
            meanings[names[0]] = (f"{objective.name}, predicted before it was measured", objective.unit)
            meanings[names[1]] = (
                f"standard deviation of the predicted {objective.name}, the oracle's noise included",
                objective.unit,
            )
    return meanings


def describe(run: RunTables) -> pd.DataFrame:
    """Return one row per column of the tables of a run: its table, name, unit and meaning.

    Args:
        run: the run.
    """
    from al_loop.analysis.accuracy import calibration
    from al_loop.analysis.failures import failures
    from al_loop.analysis.picks import top
    from al_loop.analysis.timeline import timeline

    meanings = column_meanings(run)
    frames = {
        "evaluations": run.evaluations,
        "candidates": run.candidates,
        "rounds": run.rounds,
        "top": top(run, 1),
        "predictions": run.predictions,
        "forecasts": run.forecasts,
        "calibration": calibration(run),
        "alarms": run.alarms,
        "failures": failures(run),
        "timeline": timeline(run),
    }
    columns = {
        table: [name for name in (frame.index.name, *frame.columns) if name is not None]
        for table, frame in frames.items()
    }
    columns["map"] = [*_MAP, *run.optimised]
    rows = []
    for table, names in columns.items():
        for name in map(str, names):
            meaning, unit = meanings.get(name) or _by_prefix(name) or ("from the library's file", "")
            rows.append((table, name, unit, meaning))
    return pd.DataFrame(rows, columns=["table", "column", "unit", "meaning"])


def _by_prefix(name: str) -> Meaning | None:
    return next(((text, unit) for prefix, text, unit in _PREFIXES if name.startswith(prefix)), None)
