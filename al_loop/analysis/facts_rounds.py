"""The facts about rounds, alarms, money and time, as plain values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from al_loop.analysis.facts_table import rounded
from al_loop.analysis.spending import by_outcome, by_round
from al_loop.analysis.timeline import timeline, utilisation

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

_MOST_BARS = 1500  # of the timeline; neighbouring calls of a worker are drawn as one bar where there are more
_MOST_WORKERS = 40
_METRICS = ("calls", "failures", "best", "top10_mean", "hypervolume", "front", "diversity", "new_scaffolds")
_RECENT = 2  # rounds whose alarms are shown on top


def alarm_facts(run: RunTables) -> list[dict[str, Any]]:
    """Return the alarms, newest first; ``recent`` marks those of the last rounds."""
    last = max((row.number for row in run.round_rows if row.closed is not None), default=0)
    return [
        {**row, "round": int(row["round"]), "recent": int(row["round"]) > last - _RECENT}
        for row in reversed(run.alarms.to_dict("records"))
    ]


def round_facts(run: RunTables) -> list[dict[str, Any]]:
    """Return the progress and the forecast of each round, and how long its phases took."""
    several = len(run.optimised) > 1
    spent = {int(str(number)): row for number, row in by_round(run).to_dict("index").items()}
    forecasts = {int(f["round"]): f for f in run.forecasts.to_dict("records")}
    rows = []
    for row in run.round_rows:
        metrics = row.metrics or {}
        forecast = forecasts.get(row.number)
        of_round, phases = spent[row.number], {**row.seconds, **(row.closing_seconds or {})}
        expected = None if forecast is None else {k: rounded(_number(forecast.get(k))) for k in _FORECAST}
        rows.append(
            {
                "round": row.number,
                "opened": row.opened.isoformat(timespec="seconds"),
                "closed": None if row.closed is None else row.closed.isoformat(timespec="seconds"),
                **{name: rounded(_number(metrics.get(name))) for name in _METRICS},
                "coverage": _coverage(metrics, next(iter(run.optimised.values())).name),
                "utilisation": rounded(_number(metrics.get("oracle_utilisation")), 3),
                "forecast": expected,
                "actual": rounded(_number(metrics.get("hypervolume" if several else "best"))),
                "phases": {k: rounded(_number(v), 4) for k, v in phases.items()},
                **{name: int(of_round[name]) for name in ("answers", "failed")},
                "n_calls": int(of_round["calls"]),
                **{name: rounded(float(of_round[name]), 6) for name in ("cost", "oracle_hours", "own_hours", "hours")},
            }
        )
    return rows


_FORECAST = ("expected_improvement", "probability", "expected_best", "low", "high")


def spending_facts(run: RunTables) -> dict[str, Any]:
    """Return what was spent, of what, and what came of it."""
    outcomes = by_outcome(run)
    budget = run.config.get("budget") or {}
    spent = by_round(run)
    return {
        "calls": int(run.ledger.n_calls()),
        "cost": rounded(run.ledger.cost(), 8),
        "oracle_hours": rounded(float(spent["oracle_hours"].sum()), 6),
        "own_hours": rounded(float(spent["own_hours"].sum()), 6),
        "budget": {name: budget.get(name) for name in ("calls", "cost")},
        "outcomes": [
            {
                "origin": str(row["origin"]),
                "outcome": str(row["outcome"]),
                "answers": int(row["answers"]),
                "calls": int(row["calls"]),
                "cost": rounded(_number(row["cost"]), 6),
            }
            for row in outcomes.to_dict("records")
        ],
    }


def timeline_facts(run: RunTables) -> dict[str, Any]:
    """Return the bars of the timeline, in seconds since its start, and how busy each worker was."""
    frame = timeline(run)
    workers = utilisation(frame).sort_values("hours", ascending=False).to_dict("index")
    kept = sorted(list(workers)[:_MOST_WORKERS], key=_natural)
    frame = frame[frame["worker"].isin(kept)].sort_values(["worker", "started"], kind="stable")
    ended = frame.dropna(subset=["finished"])
    if ended.empty:
        return {"start": None, "workers": [], "bars": [], "n": len(frame), "n_workers": len(workers)}
    start, end = ended["started"].min(), ended["finished"].max()
    return {
        "start": start.isoformat(timespec="seconds"),
        "seconds": rounded((end - start).total_seconds(), 6),
        "workers": [
            {
                "name": str(name),
                "calls": int(workers[name]["calls"]),
                "hours": rounded(float(workers[name]["hours"]), 4),
                "busy": rounded(float(workers[name]["busy"]), 3),
            }
            for name in kept
        ],
        "bars": _bars(ended, kept, start, float((end - start).total_seconds())),
        "n": len(ended),
        "n_workers": len(workers),
    }


def _bars(frame: pd.DataFrame, workers: list[Any], start: pd.Timestamp, span: float) -> list[list[Any]]:
    """Return worker, start, end, round, outcome and number of calls of each bar."""
    begin = (frame["started"] - start).dt.total_seconds().tolist()
    end = (frame["finished"] - start).dt.total_seconds().tolist()
    gap = span / 800 if len(frame) > _MOST_BARS else 0.0
    index = {name: i for i, name in enumerate(workers)}
    bars: list[list[Any]] = []
    cells = zip(frame["worker"], begin, end, frame["round"].tolist(), frame["outcome"], strict=True)
    for worker, first, last, number, outcome in cells:
        bar = bars[-1] if bars else None
        if gap and bar and bar[0] == index[worker] and bar[3] == number and first - bar[2] <= gap and bar[4] == outcome:
            bar[2], bar[5] = max(bar[2], last), bar[5] + 1
        else:
            bars.append([index[worker], first, last, number, outcome, 1])
    return [[w, rounded(a, 7), rounded(b, 7), number, outcome, n] for w, a, b, number, outcome, n in bars]


def _coverage(metrics: dict[str, Any], name: str) -> float | None:
    scores = (metrics.get("predictions") or {}).get(name) or {}
    return rounded(_number((scores.get("coverage") or {}).get("80")), 3)


def _natural(name: object) -> tuple[str, int]:
    text = str(name)
    head = text.rstrip("0123456789")
    return head, int(text[len(head) :] or 0)


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
