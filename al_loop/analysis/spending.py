"""Calls, cost and time of a run, by round and by result (a value, a failure, nothing yet)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from al_loop.ledger.queries import IMPORTED

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

#: what a call can have come to, in the order in which the first that is true is taken
CAME_TO = ("failed", "new best", "among the ten best", "outside the bounds", "cheaper fidelity", "other value")


def by_round(run: RunTables) -> pd.DataFrame:
    """Return one row per round: answers, failures, calls, cost, hours of the oracle and of the campaign's own work.

    Earlier data cost nothing and are left out. ``hours`` is the time from the round's opening to its last answer.

    Args:
        run: the run.
    """
    table = run.evaluations
    table = table[table["origin"] != IMPORTED]
    groups = table.groupby("round")
    opened = {r.number: r.opened for r in run.round_rows}
    frame = pd.DataFrame(index=pd.Index(sorted(opened), name="round", dtype="int64"))
    frame["answers"] = groups.size().reindex(frame.index, fill_value=0)
    frame["failed"] = groups["failure"].count().reindex(frame.index, fill_value=0)
    frame["calls"] = groups["attempts"].sum().reindex(frame.index, fill_value=0).astype(int)
    frame["cost"] = groups["cost"].sum().reindex(frame.index, fill_value=0.0)
    frame["oracle_hours"] = groups["seconds"].sum().reindex(frame.index, fill_value=0.0) / 3600
    own = {
        r.number: sum(v for k, v in {**r.seconds, **(r.closing_seconds or {})}.items() if k != "evaluate")
        for r in run.round_rows
    }
    frame["own_hours"] = pd.Series(own, dtype=float).reindex(frame.index) / 3600
    last = groups["finished"].max()
    spans = {n: (last[n] - pd.Timestamp(t)).total_seconds() / 3600 for n, t in opened.items() if n in last.index}
    frame["hours"] = pd.Series(spans, dtype=float).reindex(frame.index)
    return frame


def by_outcome(run: RunTables) -> pd.DataFrame:
    """Return how many answers, calls and how much cost went into what: one row per origin and outcome.

    Outcomes are ``failed``; ``new best`` for an object that was the best so far when its answer arrived (with several
    objectives: one on today's front); ``among the ten best`` today; ``outside the bounds``; ``cheaper fidelity``; else
    ``other value``. Earlier data are left out.

    Args:
        run: the run.
    """
    table = run.evaluations
    came_to = pd.Series("other value", index=table.index, dtype=object)
    came_to[~table.index.isin(run.target_evaluations.index)] = "cheaper fidelity"
    results = run.results
    if "within_bounds" in table:
        came_to[(came_to == "other value") & ~table["within_bounds"].fillna(False).astype(bool)] = "outside the bounds"
    came_to[run.best(10).index] = "among the ten best"
    came_to[records(run, results)] = "new best"
    came_to[table["failure"].notna()] = "failed"
    own = table.assign(outcome=came_to)[table["origin"] != IMPORTED]
    groups = own.groupby(["origin", "outcome"], sort=False)
    frame = pd.DataFrame({"answers": groups.size(), "calls": groups["attempts"].sum(), "cost": groups["cost"].sum()})
    return frame.reset_index().sort_values("answers", ascending=False, ignore_index=True)


def records(run: RunTables, results: pd.DataFrame) -> pd.Index:
    """Return the candidates that were the best so far when their answers arrived; of several objectives: the front.

    Args:
        run: the run.
        results: its results.
    """
    if len(run.optimised) > 1:
        return run.front().index
    column, objective = run.find_objective()
    ordered = results.dropna(subset=[column]).sort_values("number")
    values = ordered[column].to_numpy(dtype=np.float64) * (1.0 if objective.goal == "maximise" else -1.0)
    before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]]) if len(values) else values
    return ordered.index[values > before]
