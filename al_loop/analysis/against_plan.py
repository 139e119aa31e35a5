"""The comparison of a run with its plan, the file that ``al-loop plan`` writes to the run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from al_loop.analysis.facts_table import rounded
from al_loop.planning.record import Plan, read_plan
from al_loop.planning.standing import Standing, standing
from al_loop.storage.locate import run_folder

if TYPE_CHECKING:
    from al_loop.analysis.status import RunStatus
    from al_loop.analysis.tables import RunTables

_DIGITS = 6


def plan_of(run: RunTables) -> Plan | None:
    """Return the plan beside a run; None if there is none, or it is one of another objective."""
    folder = run_folder(run.path)
    plan = None if folder is None else read_plan(folder)
    if plan is None:
        return None
    several = len(run.optimised) > 1
    name, direction = ("hypervolume", "maximise") if several else (run.objective.name, run.objective.goal)
    return plan if (plan.objective, plan.direction) == (name, direction) else None


def plan_standing(run: RunTables, status: RunStatus) -> Standing | None:
    """Return where a run stands in its plan; None without a plan or a value.

    Args:
        run: the run.
        status: its status.
    """
    plan = plan_of(run)
    return None if plan is None else _standing(plan, run, status)


def _standing(plan: Plan, run: RunTables, status: RunStatus) -> Standing | None:
    n_calls = status.calls
    if plan.cost_per_call and any("fidelities" in row.info for row in run.round_rows):
        n_calls = round(status.cost / plan.cost_per_call)  # a plan of several fidelities counts in calls at the target
    best = status.hypervolume if len(run.optimised) > 1 else status.best_value
    return standing(plan, n_calls, best)


def plan_facts(run: RunTables, status: RunStatus) -> dict[str, Any] | None:
    """Return the bands of the plan and where the run stands in them, as plain values; None without a plan."""
    plan = plan_of(run)
    if plan is None:
        return None
    now = _standing(plan, run, status)
    step = max(1, plan.calls[-1] // 100)
    calls = sorted({*range(step, plan.calls[-1] + 1, step), *plan.calls})
    bands = [plan.band(n) for n in calls]
    return {
        "goal": plan.goal,
        "goal_text": plan.goal_text,
        "simulations": plan.simulations,
        "calls": calls,
        **{key: [rounded(band[i], _DIGITS) for band in bands] for i, key in enumerate(("low", "median", "high"))},
        "chances": [[n, *plan.chance(n)] for n in plan.calls],
        "lines": plan.lines(),
        "assumptions": [*plan.assumptions, *plan.shortcuts],
        "standing": None if now is None else now.as_dict(),
    }
