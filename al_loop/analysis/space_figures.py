"""Figures of a run in space and time: the map of its objects, and the calls of its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from al_loop.analysis.figures import axis_label, new_axes, plain
from al_loop.analysis.space import map_table
from al_loop.analysis.timeline import timeline as timeline_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from al_loop.analysis.tables import RunTables

_OPEN = "#c92a2a"


def space_map(run: RunTables, ax: Axes | None = None) -> Figure:
    """Plot the map of the objects, coloured by the (first) optimised value; open candidates are crosses.

    Args:
        run: the run.
        ax: the axes to draw into; None: the axes of a new figure.
    """
    table = map_table(run)
    column, objective = run.find_objective()
    figure, ax = new_axes(ax, (6.2, 5.0))
    ax.grid(visible=False)
    ax.set(xticks=[], yticks=[], title=f"{plain(run.name)}: {len(table)} objects, similar ones close together")
    measured, waiting = table.dropna(subset=[column]), table[table[column].isna()]
    if len(measured):
        worst_first = measured.sort_values(column, ascending=objective.goal == "maximise")
        colours = "viridis" if objective.goal == "maximise" else "viridis_r"
        dots = ax.scatter(worst_first["x"], worst_first["y"], c=worst_first[column], cmap=colours, s=26, lw=0)
        bar = figure.colorbar(dots, ax=ax, pad=0.02, aspect=28, shrink=0.88, label=axis_label(objective))
        bar.outline.set_visible(False)
    if len(waiting):
        ax.plot(waiting["x"], waiting["y"], "+", ms=8, color=_OPEN, label=f"without a value ({len(waiting)})")
        ax.legend(loc="best", framealpha=0.9, edgecolor="none", fontsize=9)
    return figure


def timeline(run: RunTables, ax: Axes | None = None) -> Figure:
    """Plot the calls of each worker as bars on a line of time; failed calls are red.

    Args:
        run: the run.
        ax: the axes to draw into; None: the axes of a new figure.
    """
    table = timeline_table(run).dropna(subset=["finished"])
    workers = sorted(table["worker"].unique())
    figure, ax = new_axes(ax, (8.0, 1.2 + 0.3 * max(len(workers), 1)))
    ax.set(title=f"{plain(run.name)}: {len(table)} calls", yticks=range(len(workers)))
    ax.set_yticklabels([plain(str(worker))[:20] for worker in workers])
    if table.empty:
        ax.set_xlabel("hours")
        return figure
    start = table["started"].min()
    begin = (table["started"] - start).dt.total_seconds().to_numpy(dtype=np.float64)
    end = (table["finished"] - start).dt.total_seconds().to_numpy(dtype=np.float64)
    size, unit = (3600.0, "hours") if end.max() > 7200 else (60.0, "minutes") if end.max() > 180 else (1.0, "seconds")
    last = max(int(table["round"].max()), 1)
    rows = {worker: i for i, worker in enumerate(workers)}
    from matplotlib import colormaps

    shades = colormaps["viridis"](0.15 + 0.75 * table["round"].to_numpy(dtype=np.float64) / last)
    failed = (table["outcome"] == "failed").to_numpy()
    ax.barh(
        [rows[worker] for worker in table["worker"]],
        (end - begin) / size,
        left=begin / size,
        height=0.8,
        color=[_OPEN if is_failed else tuple(shade) for is_failed, shade in zip(failed, shades, strict=True)],
    )
    ax.set_xlabel(f"{unit} since {start:%Y-%m-%d %H:%M} UTC; colour: round")
    return figure
