"""The facts of a run as one record of plain values, which report, live page and terminal all read.

Everything that a page shows is computed here, once: pages only lay it out. The record is JSON; objects, names and
reasons in it are the texts of the ledger, which whoever shows them has to escape.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from al_loop import __version__
from al_loop.analysis.against_plan import plan_facts
from al_loop.analysis.facts_rounds import alarm_facts, round_facts, spending_facts, timeline_facts
from al_loop.analysis.facts_table import CandidateTable, candidate_facts, encoded, label, rounded
from al_loop.analysis.molecules import are_canonical
from al_loop.analysis.object_kinds import ObjectType, kind_of_objects
from al_loop.analysis.outlook import outlook
from al_loop.analysis.reasons import reason_texts, reasons
from al_loop.analysis.space import Space, space_of
from al_loop.analysis.status import RunStatus, run_status
from al_loop.ledger import columns

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

#: version of the record's layout
VERSION = 1
_N_BEST = 10
_MOST_NEXT = 48  # candidates of the open batch that are shown with a reason
_MOST_DOTS = 4000  # answers in a chart; the records, the newest and a regular sample of the others are shown
_MOST_REASONS = 20
_ADDRESSES = ("ledger", "checkpoints")  # keys of a config that may contain a password


def run_facts(run: RunTables, *, status: RunStatus | None = None, has_map: bool = True) -> dict[str, Any]:
    """Return the facts of a run.

    Args:
        run: the run.
        status: its status, where it is known already.
        has_map: whether to place objects on a map, which takes the longest.
    """
    status = run_status(run) if status is None else status
    results = run.results
    choice = reasons(run)
    object_type = kind_of_objects(run.config, run.candidates["object"].tolist())
    pending = [c.id for c in run.ledger.pending()]
    space = space_of(run, object_type, pending, has_map=has_map)
    table = candidate_facts(run, choice, space.series_of)
    shown = _shown(run, table)
    best = _best_ids(run)
    return {
        "version": VERSION,
        "al_loop": __version__,
        "generated": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": _run(run, status, object_type),
        "objectives": _objectives(run),
        "status": _status(status),
        "outlook": _plain(outlook(run, status).as_dict()),
        "plan": plan_facts(run, status),
        "alarms": alarm_facts(run),
        "best": _picked(run, best, table, choice),
        "next": _next(run, pending, table, choice),
        "rounds": round_facts(run),
        "calibration": _calibration(run, table),
        "series": space.series_facts(table),
        "map": space.map_facts(table),
        "alerts": space.alert_facts(table),
        "letters": _letters(run, object_type, best),
        "failures": [
            {"kind": kind, "reason": reason, "n": n}
            for kind, reason, n in run.ledger.read(columns.failure_reasons)[:_MOST_REASONS]
        ],
        "front": {"rows": table.rows(run.front().index) if len(run.optimised) > 1 else []},
        "spending": spending_facts(run),
        "timeline": timeline_facts(run),
        "changes": list(status.changes),
        "shown": shown,
        "table": {
            "n": len(table.frame),
            "columns": encoded(run, table),
            "results": table.rows(results.index),
            "is_canonical": object_type == "molecule" and are_canonical(table.frame["object"].tolist()),
            "order": _order(run, table),
        },
    }


def _run(run: RunTables, status: RunStatus, object_type: ObjectType) -> dict[str, Any]:
    campaign, session = run.ledger.campaign(), run.ledger.last_session()
    assert campaign is not None
    return {
        "name": run.name,
        "uid": campaign.uid,
        "path": run.ledger.name,
        "seed": str(campaign.seed),
        "object_type": object_type,
        "created": run.created.isoformat(timespec="seconds"),
        "versions": {} if session is None else session.versions,
        "config": {k: v for k, v in run.config.items() if v not in (None, [], {}, ()) and k not in _ADDRESSES},
    }


def _status(status: RunStatus) -> dict[str, Any]:
    names = (
        *("state", "reason", "process", "rounds", "closed_rounds", "planned_rounds", "proposed", "answered", "failed"),
        *("imported", "pending", "in_flight", "calls", "cost", "best_object", "best_value", "hypervolume", "n_front"),
        *("no_best", "sessions"),
    )
    last = None if status.last_answer is None else status.last_answer.isoformat(timespec="seconds")
    return {**{name: getattr(status, name) for name in names}, "last_answer": last}


def _objectives(run: RunTables) -> list[dict[str, Any]]:
    bounds = {run.objectives[index].name: (low, high) for index, low, high in run.campaign_objectives.bounds}
    optimised = run.optimised
    return [
        {
            "name": objective.name,
            "label": label(objective.name),
            "column": column,
            "unit": objective.unit,
            "goal": objective.goal,
            "optimised": column in optimised,
            "predicted": list(run.prediction_columns(column) or ()),
            "bounds": list(bounds.get(objective.name, (None, None))),
        }
        for column, objective in {**optimised, **run.value_columns}.items()
    ]


def _best_ids(run: RunTables) -> list[int]:
    several = len(run.optimised) > 1
    return [
        int(id_) for id_ in (run.front() if several else run.best(_N_BEST)).index[: 2 * _N_BEST if several else None]
    ]


def _picked(run: RunTables, ids: Sequence[int], table: CandidateTable, choice: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the row and the reason of some candidates, and what a library calls each."""
    texts = reason_texts(run, choice, ids)
    names = table.frame["object"]
    labels = run.labels([str(names[row]) for row in table.rows(ids)]) if ids else {}
    return [
        {"row": row, "why": texts[id_], "label": labels.get(str(names[row]), "")}
        for id_, row in zip(ids, table.rows(ids), strict=True)
    ]


def _next(run: RunTables, pending: Sequence[int], table: CandidateTable, choice: pd.DataFrame) -> dict[str, Any]:
    """Return the candidates without an answer, or those of the last batch, each with the reason."""
    ids, is_pending = list(pending), bool(pending)
    if not ids and run.round_rows:
        last = run.round_rows[-1].number
        ids = [int(id_) for id_ in choice.index[(run.candidates["round"] == last).to_numpy()]]
    if is_pending:
        ids.reverse()
    shown = sorted(ids[:_MOST_NEXT])
    return {"pending": is_pending, "n": len(ids), "candidates": _picked(run, shown, table, choice)}


def _calibration(run: RunTables, table: CandidateTable) -> list[dict[str, Any]]:
    """Return, for each optimised objective, the rows that were predicted and measured, and how often that came true."""
    from al_loop.analysis.accuracy import calibration, coverage
    from al_loop.monitoring.metrics import rank_correlation

    entries = []
    for column, objective in run.optimised.items():
        frame = calibration(run, objective.name)
        correlation = rank_correlation(frame["predicted_mean"], frame["measured"])
        error = frame["measured"] - frame["predicted_mean"]
        step = max(1, len(frame) // _MOST_DOTS)
        entries.append(
            {
                "column": column,
                "n": len(frame),
                "rows": table.rows(frame.index[::step]),
                "coverage": [[rounded(cell, 4) for cell in row] for row in coverage(frame).to_numpy().tolist()],
                "rank_correlation": rounded(correlation, 3),
                "rmse": rounded(float(np.sqrt((error**2).mean())) if len(frame) else None, 4),
                "bias": rounded(float(frame["z"].mean()) if len(frame) else None, 3),
            }
        )
    return entries


def _letters(run: RunTables, object_type: ObjectType, best: Sequence[int]) -> dict[str, Any] | None:
    """Return the alignment of the best sequences and the height of each letter at each place."""
    if object_type != "sequence" or not best:
        return None
    from al_loop.analysis.sequences import align, logo

    table = run.best(50) if len(run.optimised) == 1 else run.front()
    aligned = align(table["object"].astype(str).tolist())
    places = [[[letter, rounded(height, 4)] for letter, height in place] for place in logo(aligned)]
    return {"aligned": aligned[: len(best)], "n": len(aligned), "logo": places}


def _shown(run: RunTables, table: CandidateTable) -> dict[str, Any]:
    """Return the rows of the answers that charts show, in the order of arrival, with the number of calls at each."""
    from al_loop.analysis.spending import records

    ordered = run.evaluations.sort_values("number")
    is_own = ordered["origin"] != "imported"
    calls = (ordered["attempts"].clip(lower=1) * is_own).cumsum()
    best = records(run, run.results)
    n = len(ordered)
    keep = np.zeros(n, dtype=bool)
    keep[:: max(1, -(-n // _MOST_DOTS))] = True
    keep |= ordered.index.isin(best) | ordered.index.isin(run.best(_N_BEST).index)
    ids = ordered.index[keep]
    result = run.results.index
    return {
        "n": n,
        "rows": table.rows(ids),
        "calls": calls[keep].tolist(),
        "counts": [int(value) for value in ids.isin(result)],
        "records": [int(value) for value in ids.isin(best)],
    }


def _order(run: RunTables, table: CandidateTable) -> list[int]:
    """Return the rows in which the table is first shown: the results, best first, then the others, newest first."""
    ids = run.best(len(table.frame)).index if len(run.optimised) == 1 else run.front().index
    first = table.rows(ids)
    rest = set(range(len(table.frame))) - set(first)
    return [*first, *sorted(rest, reverse=True)]


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: rounded(v) if isinstance(v, float) else v for k, v in entry.items()}


__all__ = ["VERSION", "Space", "run_facts"]
