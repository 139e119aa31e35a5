"""The table of a sweep: a row for each campaign, and means over the seeds, read from the campaigns' ledgers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_loop.actors.sweeps.plan import Combination, text_of
from al_loop.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from al_loop.analysis import Run

#: the columns of the table between the settings and ``failed``
MEASURES = ("calls", "best", "top10_mean", "hypervolume", "diversity", "seconds")
#: those of which means over the seeds are taken
COMPARED = ("calls", "best", "top10_mean", "hypervolume", "diversity")


@dataclass(frozen=True)
class SweepResult:
    """The results of a sweep.

    Attributes:
        table: A row for each campaign: its settings, ``MEASURES``, ``failed`` (why it has not finished; empty where
            it has) and ``run`` (its run directory).
        means: A row for each setting apart from the seed: the number of seeds ``n``, and the mean and standard error
            (``..._se``) over the seeds of ``COMPARED``; of one seed, the value alone.
    """

    table: pd.DataFrame
    means: pd.DataFrame

    @property
    def n_failed(self) -> int:
        """The number of campaigns that have not finished."""
        return int((self.table["failed"] != "").sum())


def tabulate(combinations: Sequence[Combination], problems: Mapping[str, str], run_dir: Path) -> SweepResult:
    """Return the results of a sweep.

    Args:
        combinations: The campaigns.
        problems: For each campaign, by its name, why it has not finished; empty where it has.
        run_dir: The folder of the run directories.
    """
    import pandas as pd

    rows = []
    for c in combinations:
        measures, problem = _measures(c, run_dir), problems.get(c.name, "it was not started")
        row = {key: text_of(value) if isinstance(value, list | dict) else value for key, value in c.settings.items()}
        row |= {name: measures.get(name, math.nan) for name in MEASURES}
        row["failed"] = problem if problem or measures else "its ledger cannot be read"
        rows.append({**row, "run": str(run_dir / c.name)})
    table = pd.DataFrame(rows).astype({"calls": "Int64"})
    table = table.drop(columns="hypervolume") if table["hypervolume"].isna().all() else table
    return SweepResult(table, _means(table, list(combinations[0].settings)))


def open_ledger(c: Combination, run_dir: Path) -> Run | None:
    """Open the run of a campaign; None where it has not begun, or its ledger cannot be reached.

    Args:
        c: The campaign.
        run_dir: The folder of the run directories.
    """
    from al_loop.analysis import open_run

    try:
        return open_run(c.config.ledger or run_dir / c.name)
    except ConfigError:
        return None


def _measures(c: Combination, run_dir: Path) -> dict[str, float]:
    """Return the calls and seconds until now, and the other measures of the last closed round."""
    run = open_ledger(c, run_dir)
    if run is None:
        return {}
    with run:
        calls, rounds = run.status().calls, run.ledger.rounds()
    last = next((r.metrics for r in reversed(rounds) if r.metrics is not None), {})
    seconds = sum(sum({**r.seconds, **(r.closing_seconds or {})}.values()) for r in rounds)
    return {**{name: value for name, value in last.items() if value is not None}, "calls": calls, "seconds": seconds}


def _means(table: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """Return means over the seeds of the campaigns that have finished."""
    import pandas as pd

    others = [key for key in settings if key != "seed"]
    finished = table[table["failed"] == ""].astype({"calls": float})
    rows = []
    groups = finished.groupby(others, sort=False, dropna=False) if others else [((), finished)]
    for values, group in groups:
        row: dict[str, Any] = dict(zip(others, values, strict=True))
        if group.empty:
            continue
        row["n"] = len(group)
        for name in COMPARED:
            if name in group:
                row |= {name: group[name].mean(), f"{name}_se": group[name].sem()}
        rows.append(row)
    return pd.DataFrame(rows)
