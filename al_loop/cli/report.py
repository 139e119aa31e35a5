"""``al-loop report``: a run as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes


def report(
    run: RunArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file; - for standard output.")] = Path(
        "report.html"
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file that is not a page of al-loop.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Write one page about a run that opens offline: recommendation, best objects, map, calibration, costs, table."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.analysis import open_run
        from al_loop.report.files import write_report

        with open_run(run) as record:
            path = write_report(record, output, force=force)
        if str(path) != "-":
            typer.echo(f"written: {path}")
