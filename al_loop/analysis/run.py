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

from al_loop.analysis import figures, space_figures
from al_loop.analysis.accuracy import calibration
from al_loop.analysis.against_plan import plan_standing
from al_loop.analysis.comparison import Comparison, Metric, compare
from al_loop.analysis.failures import failures
from al_loop.analysis.grid import Grid, molecule_grid
from al_loop.analysis.meanings import describe
from al_loop.analysis.picks import top
from al_loop.analysis.replay import Choice, Replay, replay
from al_loop.analysis.space import map_table
from al_loop.analysis.status import RunStatus, run_status
from al_loop.analysis.tables import RunTables
from al_loop.analysis.timeline import timeline
from al_loop.errors import counted
from al_loop.planning.standing import Standing
from al_loop.system.numbers import significant

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

    def standing(self) -> Standing | None:
        """Return where the run stands in its plan, see ``al_loop.plan``; None without a plan beside it."""
        return plan_standing(self, self.status())

    @property
    def failures(self) -> pd.DataFrame:
        """One row per failure: the reason, and the traceback or the output of the oracle; see ``failures.failures``."""
        return failures(self)

    def top(self, k: int = 10, *, diverse: bool = False, threshold: float | None = None) -> pd.DataFrame:
        """Return the k best results; ``diverse``: of which no two are similar; see ``picks.top``."""
        return top(self, k, diverse_only=diverse, threshold=threshold)

    def molecule_grid(self, k: int | pd.DataFrame = 12, *, diverse: bool = False) -> Grid:
        """Return pictures of the k best results, or of the rows of a table of this run, for a notebook."""
        return molecule_grid(self, self.top(k, diverse=diverse) if isinstance(k, int) else k)

    def map(self) -> pd.DataFrame:
        """Return a place on a map for each object, similar ones close together, with series and value."""
        return map_table(self)

    def calibration(self, objective: str | None = None) -> pd.DataFrame:
        """Return each measurement beside its prediction; see ``accuracy.calibration``."""
        return calibration(self, objective)

    def timeline(self) -> pd.DataFrame:
        """Return one row per call of the oracle: worker, start, end and outcome; see ``timeline.timeline``."""
        return timeline(self)

    def describe(self) -> pd.DataFrame:
        """Return the unit and the meaning of every column of the tables."""
        return describe(self)

    def compare(self, *others: RunTables | str | Path, metric: Metric | None = None) -> Comparison:
        """Compare this run with others; see ``comparison.compare``."""
        opened = [other if isinstance(other, RunTables) else open_run(other) for other in others]
        return compare([self, *opened], metric=metric)

    def replay(
        self, number: int | None = None, *, acquisition: Choice | None = None, selector: Choice | None = None
    ) -> Replay:
        """Score a past round again under other choices; see ``replay.replay``."""
        return replay(self, number, acquisition=acquisition, selector=selector)

    def plot_map(self, ax: Axes | None = None) -> Figure:
        """Plot the map, coloured by value; see ``space_figures.space_map``."""
        return space_figures.space_map(self, ax)

    def plot_timeline(self, ax: Axes | None = None) -> Figure:
        """Plot the calls of each worker on a line of time; see ``space_figures.timeline``."""
        return space_figures.timeline(self, ax)

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
        best = s.no_best if s.best_value is None else f"best {significant(s.best_value)} {s.unit}".rstrip()
        if s.n_front:
            volume = "" if s.hypervolume is None else f", hypervolume {significant(s.hypervolume)}"
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
            "cost": significant(s.cost, 6),
            "objective": ", ".join(
                f"{o.goal} {o.name}{f' ({o.unit})' if o.unit else ''}" for o in self.optimised.values()
            ),
        }
        if s.hypervolume is not None:
            entries["hypervolume"] = significant(s.hypervolume, 6)
        cell = "style='text-align:left'"
        rows = "".join(
            f"<tr><th {cell}>{html.escape(k)}</th><td {cell}>{html.escape(v)}</td></tr>" for k, v in entries.items()
        )
        columns = list(self.optimised)
        table = self.best(5) if len(columns) == 1 else self.front()
        best = table[["object", *columns, "round"]].to_html(float_format=significant, border=0)
        heading = "The best so far" if len(columns) == 1 else "The best trade-offs so far"
        shown = f"<p>{heading}: {html.escape(s.no_best)}</p>" if s.no_best else f"<p>{heading}:</p>{best}"
        return f"<h4>{html.escape(s.name)}</h4><table>{rows}</table>{shown}"
