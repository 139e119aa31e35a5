"""The output of a sweep: one line per event, and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from al_loop.actors.sweeps.table import COMPARED, MEASURES, SweepResult
from al_loop.cli.terminal.numbers import format_number
from al_loop.outgoing import written_out

if TYPE_CHECKING:
    import pandas as pd

    from al_loop.actors.sweeps.trial import TrialEvent


def line_of_event(name: str, event: TrialEvent) -> str:
    """Return the line that is printed at the end of a round or of a campaign.

    Args:
        name: name of the campaign's combination of settings.
        event: the campaign's event.
    """
    if event.kind == "failed":
        return written_out(f"{name} | failed: {event.reason}")
    label = f"round {event.round}" if event.kind == "round" else event.kind
    label += f": {event.reason}" if event.reason else ""
    return " | ".join([name, label, *([_measures(event.measures)] if event.measures else [])])


def _measures(measures: Mapping[str, float]) -> str:
    calls = f"calls {measures['calls']}"
    if not math.isnan(measures["hypervolume"]):
        return f"{calls} | hypervolume {format_number(measures['hypervolume'])}"
    return f"{calls} | best {format_number(measures['best'])} | top-10 mean {format_number(measures['top10_mean'])}"


def show_sweep(result: SweepResult) -> None:
    """Print the campaigns, the means over seeds of each setting, and the reasons of failures.

    Args:
        result: the results of the sweep.
    """
    console = Console(highlight=False)
    settings = [name for name in result.table if name not in (*MEASURES, "failed", "run")]
    console.print()
    campaigns = result.table.drop(columns=["run", "failed", "diversity"]).astype({"calls": "string"})
    console.print(_table(campaigns.fillna({"calls": format_number(math.nan)}), len(settings)))
    if "seed" in settings and not result.means.empty and result.means["n"].max() > 1:
        console.print("\nmean ± standard error over the seeds", style="bold")
        console.print(_table(_with_errors(result.means), len(settings) - 1))
    for row in result.table[result.table["failed"] != ""].to_dict("records"):
        console.print(Text(written_out(f"failed: {Path(row['run']).name}: {row['failed']}"), "red"), soft_wrap=True)
    console.print()


def _with_errors(means: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which each mean and its standard error share a column of text."""
    columns = means.drop(columns=[f"{name}_se" for name in COMPARED if name in means]).astype(object)
    for name in COMPARED:
        if name in means:
            pairs = zip(means[name], means[f"{name}_se"], strict=True)
            columns[name] = [
                format_number(mean) + ("" if math.isnan(se) else f" ± {format_number(se)}") for mean, se in pairs
            ]
    return columns


def _table(frame: pd.DataFrame, n_settings: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(frame):
        table.add_column(Text(str(name)), justify="left" if i < n_settings else "right", overflow="fold")
    for row in frame.itertuples(index=False):
        cells = [format_number(v) if isinstance(v, float) and i >= n_settings else str(v) for i, v in enumerate(row)]
        table.add_row(*map(Text, cells))
    return table
