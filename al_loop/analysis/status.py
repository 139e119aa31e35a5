"""The progress of a run in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from al_loop.analysis.tables import RunTables
from al_loop.campaign.course import summaries
from al_loop.oracles.base import Goal

State = Literal["not started", "unfinished", "stopped", "finished"]


@dataclass(frozen=True)
class RunStatus:
    """Progress of a run.

    Args:
        name: the campaign's name.
        state: ``stopped``: ended before the last round; ``unfinished``: perhaps still running.
        reason: the reason why it stopped: a stop rule, the budget, or a lack of new objects; else empty.
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
        best_object: the best measured object; None: nothing was measured.
        best_value: its value, in ``unit``.
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
    evaluations, rounds, sessions = run.evaluations, ledger.rounds(), ledger.sessions()
    column, objective = run.find_objective()
    best = run.best(1)
    n_closed, n_pending = sum(r.closed is not None for r in rounds), len(ledger.pending())
    n_planned = _planned_rounds(run)
    is_finished = n_planned is not None and n_closed >= n_planned and not n_pending
    stops = [d.reason for d in ledger.decisions() if d.action == "stop" and d.decided >= sessions[-1].started]
    reason = stops[-1] if stops and not is_finished else ""
    state: State = "finished" if is_finished else "stopped" if reason else "unfinished"
    return RunStatus(
        name=run.name,
        state=state if rounds else "not started",
        reason=reason,
        rounds=len(rounds),
        closed_rounds=n_closed,
        planned_rounds=n_planned,
        proposed=len(ledger.candidates()),
        answered=len(evaluations),
        failed=int(evaluations["failure"].count()),
        imported=int((evaluations["origin"] == "imported").sum()),
        pending=n_pending,
        in_flight=len(ledger.in_flight()),
        calls=ledger.n_calls(),
        cost=ledger.cost(),
        best_object=None if best.empty else str(best["object"].iloc[0]),
        best_value=None if best.empty else float(best[column].iloc[0]),
        objective=objective.name,
        unit=objective.unit,
        goal=objective.goal,
        sessions=len(sessions),
        created=run.created,
        last_answer=None if evaluations.empty else evaluations["finished"].max().to_pydatetime(),
        changes=tuple(summaries(ledger.changes())),
    )


def _planned_rounds(run: RunTables) -> int | None:
    """Return the number of rounds in the config, including the first batch, or None if it is not set."""
    settings = run.config.get("rounds")
    count = settings.get("count") if isinstance(settings, Mapping) else None
    return count + 1 if isinstance(count, int) else None
