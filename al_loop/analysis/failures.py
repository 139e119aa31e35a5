"""The table of failures of a run, with the tracebacks and the output of the user's own oracle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from al_loop.analysis.tables import RunTables
from al_loop.storage.locate import run_folder

_COLUMNS = (
    *("object", "round", "failure", "reason", "error", "message", "file", "line", "traceback", "output"),
    *("worker", "log", "finished"),
)
_WORKER = re.compile(r"(?:local|ray)-(\d+)")


def failures(run: RunTables) -> pd.DataFrame:
    """Return one row per failed object, indexed by the candidate's id, in the order of arrival.

    ``error``, ``message``, ``file``, ``line`` and ``traceback`` are those of the exception in the oracle's code,
    without the frames of al-loop; ``output`` is what the oracle's process printed before it died or was ended. Where
    there is none, they are missing. ``log`` is the file with all that the worker printed, and the whole traceback.

    Args:
        run: the run.
    """
    objects = {c.id: c for c in run.ledger.candidates()}
    folder = run_folder(run.path) or Path()
    rows, ids = [], []
    for answer in run.ledger.evaluations():
        if answer.failure is None:
            continue
        error = answer.info.get("error")
        details: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
        worker = _WORKER.fullmatch(answer.worker)
        candidate = objects[answer.candidate_id]
        rows.append(
            {
                "object": candidate.object,
                "round": candidate.round,
                "failure": answer.failure.kind,
                "reason": answer.failure.reason,
                "error": details.get("type"),
                **{name: details.get(name) for name in ("message", "file", "line", "traceback")},
                "output": answer.info.get("output"),
                "worker": answer.worker,
                "log": str(folder / "logs" / f"oracle-{worker[1]}.log") if worker else None,
                "finished": answer.finished,
            }
        )
        ids.append(answer.candidate_id)
    index = pd.Index(ids, name="candidate", dtype="int64")
    frame = pd.DataFrame(rows, columns=list(_COLUMNS), index=index)
    return frame.assign(finished=pd.to_datetime(frame["finished"], utc=True)).astype({"line": "Int64"})
