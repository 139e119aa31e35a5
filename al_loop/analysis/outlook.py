"""Whether another round is worth its price: what it is expected to bring, and why, in plain English.

Everything comes from the ledger: the forecasts that the model made before each batch, what the batches then brought,
and what they cost. Nothing is fitted here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from al_loop.analysis.spending import by_round
from al_loop.analysis.status import RunStatus
from al_loop.errors import counted
from al_loop.ledger import columns
from al_loop.system.numbers import significant

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

Verdict = Literal["go on", "your choice", "stop", "look first"]

_RECENT = 3  # rounds from which the next one is extrapolated
_LIKELY, _UNLIKELY = 0.4, 0.15  # chance of an improvement for "go on" and for "stop"
_FAILED_SHARE = 0.5  # of the last round's answers, above which the oracle needs attention
_ABOUT_MODEL = ("miscalibration", "exploitation")


@dataclass(frozen=True)
class Outlook:
    """The recommendation whether to measure another round.

    Args:
        verdict: ``go on``, ``your choice``, ``stop``, or ``look first`` (at the oracle, or because nothing is there).
        headline: the recommendation in one sentence.
        because: the reasons, a sentence each.
        gain: expected gain of another round in the unit of the objective (or in hypervolume); None: unknown.
        chance: the probability of any gain, by the model's last forecast; None: unknown.
        calls: calls that another round takes, from the last rounds; None: unknown.
        cost: what it costs, in the oracle's currency; None: unknown.
        hours: how long it takes; None: unknown.
    """

    verdict: Verdict
    headline: str
    because: tuple[str, ...] = ()
    gain: float | None = None
    chance: float | None = None
    calls: float | None = None
    cost: float | None = None
    hours: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the outlook as plain values."""
        return {**asdict(self), "because": list(self.because)}


@dataclass(frozen=True)
class _Forecast:
    """The forecast of a round's batch, and what the round brought; the last one may still be open."""

    number: int
    expected: float
    chance: float
    actual: float | None


def outlook(run: RunTables, status: RunStatus) -> Outlook:
    """Return the recommendation for a run.

    Args:
        run: the run.
        status: its status.
    """
    if trouble := _trouble(run, status):
        return trouble
    forecasts = _forecasts(run)
    if not forecasts:
        return Outlook(
            "go on",
            "Go on: nothing can be forecast before the model has proposed a first batch.",
            (f"So far there {'is' if status.answered == 1 else 'are'} {counted(status.answered, 'answer')}.",),
        )
    price = _price(run)
    last, closed = forecasts[-1], [f for f in forecasts if f.actual is not None]
    gain, how = _extrapolate(forecasts)
    ratio = _track_record(closed)
    gain *= ratio
    unit = "of hypervolume" if len(run.optimised) > 1 else run.objective.unit
    amount = f"{significant(gain, 2)} {unit}".rstrip()
    because = [*how, *_record_text(closed, ratio, unit), *_price_text(price, gain, unit)]
    because += _progress_text(run, closed)
    because += _caution(run)
    is_stalled = len(closed) >= _RECENT and all((f.actual or 0.0) <= 0 for f in closed[-_RECENT:])
    if last.chance < _UNLIKELY or (is_stalled and last.chance < _LIKELY):
        verdict: Verdict = "stop"
        headline = f"Consider stopping: another round is expected to bring only {amount}"
    elif last.chance < _LIKELY or is_stalled:
        verdict, headline = "your choice", f"Another round is expected to bring {amount}; whether that is worth it is"
        headline += " your choice"
    else:
        verdict, headline = "go on", f"Go on: another round is expected to bring {amount}"
    if last.actual is None:
        headline = headline.replace("another round", "the open round").replace("Another round", "The open round")
    ended = {"finished": "all planned rounds are done", "stopped": status.reason}.get(status.state)
    if ended:
        because.append(
            f"The campaign has ended ({ended}); al-loop resume with a larger rounds.count or budget goes on."
        )
    headline += f", with a chance of {last.chance:.0%} for any improvement."
    return Outlook(verdict, headline, tuple(because), gain, last.chance, **price)


def _trouble(run: RunTables, status: RunStatus) -> Outlook | None:
    """Return what has to be looked at before anything can be recommended, if there is something."""
    if not status.answered:
        return Outlook("look first", "Nothing is measured yet.", (f"{counted(status.pending, 'candidate')} pending.",))
    rounds = by_round(run)
    recent = rounds[rounds["answers"] > 0].tail(1)
    n, failed = int(recent["answers"].sum()), int(recent["failed"].sum())
    if n and failed >= _FAILED_SHARE * n:
        (kind, reason, _), *_ = run.ledger.read(columns.failure_reasons)
        return Outlook(
            "look first",
            f"Look at the oracle first: {failed} of the last {counted(n, 'answer')} failed.",
            (f"The most frequent reason is {kind}: {reason}", "al-loop retry asks again once it is mended."),
        )
    if status.best_object is None and not status.n_front:
        return Outlook("look first", f"No object counts as a result yet: {status.no_best}.")
    return None


def _forecasts(run: RunTables) -> list[_Forecast]:
    """Return the forecast of each batch with what it brought."""
    several = len(run.optimised) > 1
    sign = 1.0 if several or run.objective.goal == "maximise" else -1.0
    forecasts, before = [], math.nan
    for row in run.round_rows:
        metrics = row.metrics or {}
        record = metrics.get("hypervolume") if several else metrics.get("best")
        forecast = row.info.get("forecast") or {}
        if forecast.get("expected_improvement") is not None:
            is_known = row.metrics is not None and record is not None and math.isfinite(before)
            gain = sign * (float(record or 0.0) - before)
            actual = max(0.0, gain) if is_known else None  # in this order: of 0.0 and -0.0, the first is returned
            forecasts.append(
                _Forecast(row.number, float(forecast["expected_improvement"]), float(forecast["probability"]), actual)
            )
        before = math.nan if record is None else float(record)
    # of earlier rounds, only those with a result can be compared
    return [f for f in forecasts[:-1] if f.actual is not None] + forecasts[-1:]


def _extrapolate(forecasts: list[_Forecast]) -> tuple[float, list[str]]:
    """Return what the model expects of the next round, with the reason."""
    last, recent = forecasts[-1], forecasts[-_RECENT:]
    if last.actual is None:
        return last.expected, [
            f"For the batch of round {last.number}, the model expects a gain of {significant(last.expected, 2)}."
        ]
    decay = 1.0
    if len(recent) > 1 and recent[0].expected > 0:
        decay = float(np.clip((last.expected / recent[0].expected) ** (1 / (len(recent) - 1)), 0.3, 1.0))
    expected, actual = significant(last.expected, 2), significant(last.actual, 2)
    text = f"For the last batch, the model expected a gain of {expected}; it brought {actual}."
    shrinks = f" Its forecasts have shrunk by {1 - decay:.0%} a round." if decay < 0.95 else ""
    return last.expected * decay, [text + shrinks]


def _track_record(closed: list[_Forecast]) -> float:
    """Return by how much the gains differed from the forecasts, shrunk towards 1 by one round that comes true."""
    recent = closed[-_RECENT:]
    expected, actual = sum(f.expected for f in recent), sum(f.actual or 0.0 for f in recent)
    if expected <= 0:
        return 1.0
    prior = expected / len(recent)
    return float(np.clip((actual + prior) / (expected + prior), 0.25, 2.0))


def _record_text(closed: list[_Forecast], ratio: float, unit: str) -> list[str]:
    recent = closed[-_RECENT:]
    if not recent:
        return ["No forecast could be compared with its result yet, so this one is taken as it is."]
    expected, actual = sum(f.expected for f in recent), sum(f.actual or 0.0 for f in recent)
    rounds = f"the last {counted(len(recent), 'round')}" if len(recent) > 1 else "the last round"
    return [
        f"In {rounds}, {significant(actual, 2)} {unit}".rstrip()
        + f" were gained where {significant(expected, 2)} were forecast, so the forecast is multiplied by {ratio:.2g}."
    ]


def _price(run: RunTables) -> dict[str, float | None]:
    """Return the calls, the cost and the hours of a round, from the last ones."""
    rounds = by_round(run)
    rounds = rounds[(rounds["answers"] > 0) & (rounds.index > 0)].tail(_RECENT)
    closed = [r.number for r in run.round_rows if r.closed is not None]
    rounds = rounds[rounds.index.isin(closed)]
    if rounds.empty:
        return {"calls": None, "cost": None, "hours": None}
    hours = float((rounds["hours"] + rounds["own_hours"]).mean())
    cost = float(rounds["cost"].mean())
    return {"calls": float(rounds["calls"].mean()), "cost": cost, "hours": hours if 0 <= hours < math.inf else None}


def _price_text(price: Mapping[str, float | None], gain: float, unit: str) -> list[str]:
    if price["calls"] is None:
        return []
    parts = [f"{significant(price['calls'], 3)} calls"]
    if price["cost"]:
        parts.append(f"a cost of {significant(price['cost'], 3)}")
    if price["hours"] is not None:
        parts.append(f"{duration(price['hours'] * 3600)}")
    text = f"A round takes {', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else f"A round takes {parts[0]}"
    each = (price["cost"] or price["calls"] or 0.0) / gain if gain > 0 else math.inf
    if math.isfinite(each) and each > 0:
        what = "units of cost" if price["cost"] else "calls"
        text += f": {significant(each, 3)} {what} for each {unit or 'unit'} gained"
        text = text.replace("each of hypervolume", "each unit of hypervolume")
    return [f"{text}."]


def _progress_text(run: RunTables, closed: list[_Forecast]) -> list[str]:
    stalled = 0
    for forecast in reversed(closed):
        if (forecast.actual or 0.0) > 0:
            break
        stalled += 1
    if not stalled:
        return []
    what = "larger hypervolume" if len(run.optimised) > 1 else "better value"
    return [f"There was no {what} for {counted(stalled, 'round')}."]


def _caution(run: RunTables) -> list[str]:
    alarms = run.alarms
    last = len(run.round_rows) - 1
    recent = alarms[alarms["alarm"].isin(_ABOUT_MODEL) & (alarms["round"] >= last - 1)]
    if recent.empty:
        return []
    return ["Treat forecasts with caution: the alarms below say that the model's predictions were off lately."]


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it, such as "45 s", "12 min", "3.5 h" or "2.1 days"."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{significant(seconds / size, 2)} {unit}"
    return f"{significant(seconds / 86400, 2)} days"
