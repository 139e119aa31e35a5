"""The progress of a run in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from al_loop.analysis.tables import RunTables
from al_loop.campaign.course import summaries
from al_loop.errors import counted
from al_loop.ledger import columns
from al_loop.oracles.base import Goal
from al_loop.storage.activity import read_activity
from al_loop.storage.locate import run_folder

State = Literal["not started", "running", "unfinished", "stopped", "finished"]
#: seconds after which a process of another machine that gives no sign of life counts as dead
_SILENT_S = 120.0
_ENDS: Mapping[str, str] = {
    "finished": "ended after the last round",
    "stopped": "ended",
    "interrupted": "was interrupted",
    "failed": "ended by an error",
}


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Args:
        name: the campaign's name.
        state: ``running``: its process is at work; ``stopped``: ended before the last round; ``unfinished``: neither.
        reason: the reason why it stopped: a stop rule, the budget, or a lack of new objects; else empty.
        process: the process that drives it or last did: its number, its machine, its phase, since when, whether it
            died, and the error by which it ended; empty if unknown.
        rounds: number of opened rounds, including the first batch.
        closed_rounds: number of rounds with a report.
        planned_rounds: number of rounds in the config, including the first batch; None: unknown.
        proposed: number of candidates.
        answered: number of candidates with an answer.
        failed: number of candidates whose answer is a failure.
        imported: number of answers that are earlier data.
        pending: number of candidates without an answer, excluding vetoed ones.
        in_flight: number of pending candidates that are being measured.
        calls: number of oracle calls, including retries.
        cost: total cost of the answers, in the oracle's currency.
        best_object: the best of the results (see ``RunTables.results``); None: there is none.
        best_value: its value, in ``unit``; with several objectives, of the first one.
        hypervolume: with several objectives, the hypervolume after the last closed round; else None.
        n_front: with several objectives, the number of objects on the Pareto front; else None.
        no_best: the reason why there is no best object; else empty.
        objective: name of the (first) optimised objective.
        unit: its unit.
        goal: its better direction.
        sessions: number of times the campaign was started.
        created: time of the first start.
        last_answer: time of the newest answer; None: no answer yet.
        changes: what changed since the first start, a line for each round from which on something did.
    """

    name: str
    state: State
    reason: str
    process: str
    rounds: int
    closed_rounds: int
    planned_rounds: int | None
    proposed: int
    answered: int
    failed: int
    imported: int
    pending: int
    in_flight: int
    calls: int
    cost: float
    best_object: str | None
    best_value: float | None
    hypervolume: float | None
    n_front: int | None
    no_best: str
    objective: str
    unit: str
    goal: Goal
    sessions: int
    created: datetime
    last_answer: datetime | None
    changes: tuple[str, ...] = ()


def run_status(run: RunTables) -> RunStatus:
    """Return the status of a run."""
    ledger = run.ledger
    counts, session = ledger.read(columns.counts), ledger.last_session()
    _, objective = run.find_objective()
    best = run.best_objects(1)
    n_planned = _planned_rounds(run)
    is_finished = n_planned is not None and counts.closed_rounds >= n_planned and not counts.pending
    started = run.created if session is None else session.started
    stops = [d.reason for d in ledger.decisions() if d.action == "stop" and d.decided >= started]
    reason = stops[-1] if stops and not is_finished else ""
    process, is_running = _process(run)
    state: State = "finished" if is_finished else "stopped" if reason else "unfinished"
    state = "running" if is_running else state
    return RunStatus(
        name=run.name,
        state=state if counts.rounds else "not started",
        reason=reason,
        process=process,
        rounds=counts.rounds,
        closed_rounds=counts.closed_rounds,
        planned_rounds=n_planned,
        proposed=counts.proposed,
        answered=counts.answered,
        failed=counts.failed,
        imported=counts.imported,
        pending=counts.pending,
        in_flight=len(ledger.in_flight()),
        calls=ledger.n_calls(),
        cost=ledger.cost(),
        best_object=best[0][0] if best else None,
        best_value=best[0][1][0] if best else None,
        hypervolume=_hypervolume(run),
        n_front=len(run.answers.front()) if run.campaign_objectives.are_several else None,
        no_best="" if best else _no_best(run),
        objective=objective.name,
        unit=objective.unit,
        goal=objective.goal,
        sessions=counts.sessions,
        created=run.created,
        last_answer=counts.last_answer,
        changes=tuple(summaries(ledger.changes())),
    )


def _planned_rounds(run: RunTables) -> int | None:
    """Return the number of rounds in the config, including the first batch, or None if it is not set."""
    settings = run.config.get("rounds")
    count = settings.get("count") if isinstance(settings, Mapping) else None
    return count + 1 if isinstance(count, int) else None


def _process(run: RunTables) -> tuple[str, bool]:
    """Return a description of the process that drives the run or last did, and whether it is at work."""
    folder, lease = run_folder(run.path), run.ledger.lease()
    activity = None if folder is None else read_activity(folder)
    heartbeat = None if lease is None or lease.released is not None else lease.heartbeat
    is_heard = heartbeat is not None and (datetime.now(UTC) - heartbeat).total_seconds() < _SILENT_S
    if activity is None:
        if lease is None or heartbeat is None:
            return "", False
        since = f"since {_text(lease.since)}" if is_heard else f"died: no sign of life since {_text(heartbeat)}"
        return f"pid {lease.pid} on {lease.host}, {since}", is_heard
    who = f"pid {activity.pid} on {activity.host}"
    if activity.end:
        error = f": {activity.error}" if activity.error else ""
        return f"{who} {_ENDS[activity.end]} at {_text(activity.began)}{error}", False
    doing = f"round {activity.round}: {activity.phase}" if activity.phase else f"round {activity.round}"
    is_alive = activity.is_alive
    if is_alive or (is_alive is None and is_heard):
        return f"{who}, {doing}, since {_text(activity.began)}", True
    if is_alive is None and heartbeat is None:
        return f"{who}, in {doing} since {_text(activity.began)} (whether it lives is known there only)", False
    return f"{who} died in {doing}, after {_text(activity.began)}; the same command resumes it", False


def _text(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _hypervolume(run: RunTables) -> float | None:
    """Return the hypervolume after the last closed round; None for a single objective."""
    if not run.campaign_objectives.are_several:
        return None
    values = [metrics.get("hypervolume") for _, metrics in run.ledger.read(columns.reports)]
    return values[-1] if values else None


def _no_best(run: RunTables) -> str:
    """Return why no object counts as the best."""
    n_measured = run.answers.n_measured
    bounds = run.config.get("outcome_constraints") or ()
    if not n_measured or not bounds:
        return "nothing measured"
    texts = [
        " and ".join(
            f"{c['objective']} {sign} {c[key]:g}"
            for key, sign in (("min", "at least"), ("max", "at most"))
            if c.get(key) is not None
        )
        for c in bounds
    ]
    return f"none of {counted(n_measured, 'measured object')} keeps the bounds ({', '.join(texts)})"
