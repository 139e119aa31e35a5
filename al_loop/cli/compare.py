"""``al-loop compare``: several runs side by side."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from al_loop.cli.common import VerboseOption, exit_codes
from al_loop.errors import ConfigError
from al_loop.outgoing import written_out
from al_loop.system.numbers import significant


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, ledger files or database URLs; a folder of runs, such as a sweep's, stands for all.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write a page with figures: compare.html.")
    ] = None,
    metric: Annotated[
        Literal["top10_mean", "best", "hypervolume"] | None,
        typer.Option(help="Default: the mean of the ten best, or the hypervolume.", show_default=False),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(min=1, help="Compare after so many calls; default: as many as all made.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file that is not a page of al-loop.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare runs at the same number of calls: groups of seeds, their spread, and a test of each difference."""
    with exit_codes(verbose=verbose, needs_output=True), ExitStack() as stack:
        from al_loop.analysis import open_run
        from al_loop.analysis.comparison import compare as compare_runs
        from al_loop.report.comparison_page import comparison_page, verdict
        from al_loop.report.files import write_page
        from al_loop.storage.locate import runs_below

        paths = [path for name in runs for path in (runs_below(name) or [name])]
        if len(set(paths)) < len(paths):
            twice = next(path for path in paths if paths.count(path) > 1)
            raise ConfigError(f"{twice} is named twice; name each run once")
        opened = [stack.enter_context(open_run(path)) for path in paths]
        result = compare_runs(opened, metric=metric, at=at)
        typer.secho(written_out(result.title), bold=True)
        width = max(len(written_out(str(name))) for name in result.groups.index)
        for row in result.groups.reset_index().to_dict("records"):
            spread = "" if row["n"] < 2 else f" ± {significant(row['std'], 2)}"
            value = "no value yet" if row["n"] == 0 else f"{significant(row['mean'])}{spread}"
            noun = "run" if row["n"] == 1 else "runs"
            typer.echo(f"  {written_out(row['group']).ljust(width)}  {value}  ({row['n']} {noun})")
        headline, sentences = verdict(result)
        for sentence in (headline, *sentences, *result.notes):
            typer.echo(written_out(sentence))
        if output is not None:
            path = write_page(comparison_page(result), output, force=force)
            if str(path) != "-":
                typer.echo(f"written: {path}")
