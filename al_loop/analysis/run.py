"""A run as one object for notebooks and the command line: tables, status and figures. Loads neither torch nor ray.

>>> run = open_run("runs/quickstart")  # doctest: +SKIP
>>> run.best(5)  # doctest: +SKIP
>>> run.plot_progress().savefig("progress.png")  # doctest: +SKIP
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import URL

from al_loop.analysis import figures
from al_loop.analysis.failures import failures
from al_loop.analysis.status import RunStatus, run_status
from al_loop.analysis.tables import RunTables
from al_loop.errors import counted

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def open_run(path: str | Path | URL) -> Run:
    """Open a run for reading.

    Args:
        path: a run directory, a ledger file, or a database URL.

    Raises:
        ConfigError: there is no run (the message lists the folder's contents), or its ledger is empty.
    """
    return Run(path)


class Run(RunTables):
    """One campaign, read from its ledger.

    Args:
        path: a run directory, a ledger file, or a database URL.
    """

    def status(self) -> RunStatus:
        """Return the progress of the run in a few numbers."""
        return run_status(self)

    @property
    def failures(self) -> pd.DataFrame:
        """One row per failure: the reason, and the traceback or the output of the oracle; see ``failures.failures``."""
        return failures(self)

    def plot_progress(self, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
        """Plot the measurements and the best so far against oracle calls; see ``figures.progress``."""
        return figures.progress(self, ax, objective=objective)

    def plot_front(self, ax: Axes | None = None) -> Figure:
        """Plot the measurements of two objectives and their Pareto front; see ``figures.front``."""
        return figures.front(self, ax)

    def plot_calibration(self, ax: Axes | None = None, *, objective: str | None = None) -> Figure:
        """Plot predicted against measured values; see ``figures.calibration``."""
        return figures.calibration(self, ax, objective=objective)

    def __repr__(self) -> str:
        s = self.status()
        best = s.no_best or f"best {s.best_value:.4g} {s.unit}".rstrip()
        if s.n_front:
            volume = "" if s.hypervolume is None else f", hypervolume {s.hypervolume:.4g}"
            best = f"{counted(s.n_front, 'object')} on the front{volume}"
        counts = f"{counted(s.rounds, 'round')}, {counted(s.answered, 'answer')}"
        return f"<Run {s.name!r} ({s.state}): {counts}, {s.failed} failed, {best}>"

    def _repr_html_(self) -> str:
        s = self.status()
        planned = f" of {s.planned_rounds}" if s.planned_rounds is not None else ""
        entries = {
            "state": s.state,
            "rounds": f"{s.closed_rounds}{planned} closed",
            "answers": f"{s.answered} ({s.failed} failed, {s.pending} pending)",
            "oracle calls": f"{s.calls}",
            "cost": f"{s.cost:.6g}",
            "objective": ", ".join(
                f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in self.optimised.values()
            ),
        }
        if s.hypervolume is not None:
            entries["hypervolume"] = f"{s.hypervolume:.6g}"
        cell = "style='text-align:left'"
        rows = "".join(
            f"<tr><th {cell}>{html.escape(k)}</th><td {cell}>{html.escape(v)}</td></tr>" for k, v in entries.items()
        )
        columns = list(self.optimised)
        table = self.best(5) if len(columns) == 1 else self.front()
        best = table[["object", *columns, "round"]].to_html(float_format=lambda v: f"{v:.4g}", border=0)
        heading = "The best so far" if len(columns) == 1 else "The best trade-offs so far"
        shown = f"<p>{heading}: {html.escape(s.no_best)}</p>" if s.no_best else f"<p>{heading}:</p>{best}"
        return f"<h4>{html.escape(s.name)}</h4><table>{rows}</table>{shown}"
