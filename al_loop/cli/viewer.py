"""``al-loop viewer``: the page that opens ledgers in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes


def viewer(
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file; - for standard output.")] = Path(
        "viewer.html"
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file that is not a page of al-loop.")
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a page onto which anybody can drop a ledger.db to look at it, with nothing but a browser."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.report.files import write_page
        from al_loop.report.viewer import viewer_page

        path = write_page(viewer_page(), output, force=force)
        if str(path) != "-":
            typer.echo(f"written: {path}")
