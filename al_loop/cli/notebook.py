"""``al-loop notebook``: a notebook on a run."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes
from al_loop.outgoing import written_out

#: applications that show a notebook, with their commands
_APPLICATIONS = {"jupyterlab": "lab", "notebook": "notebook"}


def notebook(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The file; default: analysis.ipynb in the run directory.", show_default=False
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Write it, and do not start Jupyter.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Open a notebook on a run: results, progress, calibration, failures. One that exists opens as it is."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.analysis import open_run
        from al_loop.analysis.notebook import write_notebook

        with open_run(run):  # says what is there, if it is no run
            pass
        path, is_new = write_notebook(run, output)
        typer.echo(written_out(f"written: {path}" if is_new else f"{path} is there already, and stays as it is"))
        if no_open:
            return
        application = next((name for name in _APPLICATIONS if find_spec(name)), None)
        if application is None:
            typer.echo("Jupyter is not installed here: pip install jupyterlab, or open the file in VS Code or PyCharm")
            return
        subprocess.call([sys.executable, "-m", "jupyter", _APPLICATIONS[application], str(path)])
