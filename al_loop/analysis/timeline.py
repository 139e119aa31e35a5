"""The calls of the oracle on a line of time: who worked on what, from when to when, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from al_loop.ledger import columns

if TYPE_CHECKING:
    from al_loop.analysis.tables import RunTables

COLUMNS = ("candidate", "round", "attempt", "worker", "started", "finished", "outcome")


def timeline(run: RunTables) -> pd.DataFrame:
    """Return one row per call of the oracle, in the order of the candidates.

    ``outcome`` is ``value`` or ``failed`` for a call that was answered, ``repeated`` for one that was followed by
    another call, ``void`` for one that measured nothing and cost nothing, and ``in flight`` for one without an answer.
    ``finished`` is missing where nobody knows when the call ended: it was in flight, or its process was killed.

    Args:
        run: the run.
    """
    calls = run.ledger.read(columns.calls)
    answers: dict[tuple[int, int], tuple[str, str, str]] = {}
    for row in zip(*run.ledger.read(columns.answered_calls).values(), strict=True):
        candidate, number, began, finished, failure = row
        answers[candidate, number] = (began, finished, "value" if failure is None else "failed")
    last: dict[int, int] = {}
    for candidate, number in zip(calls["candidate"], calls["attempt"], strict=True):
        last[candidate] = max(number, last.get(candidate, 0))
    cells: list[tuple[str, str | None, str]] = []
    names = ("candidate", "attempt", "is_void", "started")
    for candidate, number, is_void, recorded in zip(*(calls[name] for name in names), strict=True):
        if (answer := answers.get((candidate, number))) is not None:
            cells.append(answer)  # the worker's own times; the call was recorded a little before it began
        else:
            is_repeated = number < last[candidate]
            cells.append((recorded, None, "void" if is_void else "repeated" if is_repeated else "in flight"))
    frame = pd.DataFrame({name: calls[name] for name in ("candidate", "round", "attempt", "worker")})
    starts, ends, outcomes = (pd.Series([row[i] for row in cells], dtype=object) for i in range(3))
    frame = frame.assign(started=starts, finished=ends, outcome=outcomes)
    times = {name: pd.to_datetime(frame[name], utc=True, format="ISO8601") for name in ("started", "finished")}
    return frame.assign(**times)[list(COLUMNS)]


def utilisation(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per worker: its calls, the hours it worked, and the share of the time since its first call.

    Args:
        frame: a timeline.
    """
    ended = frame.dropna(subset=["finished"])
    seconds = (ended["finished"] - ended["started"]).dt.total_seconds()
    groups = ended.assign(seconds=seconds).groupby("worker", sort=True)
    table = pd.DataFrame(
        {
            "calls": groups.size(),
            "hours": groups["seconds"].sum() / 3600,
            "span_hours": (groups["finished"].max() - groups["started"].min()).dt.total_seconds() / 3600,
        }
    )
    share = (table["hours"] / table["span_hours"].where(table["span_hours"] > 0)).clip(upper=1.0)
    return table.assign(busy=share)
