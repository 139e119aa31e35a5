"""``al-loop verify`` and ``backup``: whether a run is as it was written, and a copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import EXIT_FAILURE, RunArgument, VerboseOption, exit_codes
from al_loop.errors import ConfigError, counted


def verify(
    run: RunArgument,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Record that the rows are right as they are, and why; the campaign then goes on with them.",
            show_default=False,
        ),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay", help="Also make every batch again from the ledger, and say where it differs."),
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare the rows of a run's ledger, its checkpoints and its artifacts with their checksums."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.ledger import Ledger
        from al_loop.storage.inspection import inspect
        from al_loop.storage.locate import find_ledger
        from al_loop.system.users import current_user

        url = find_ledger(run)
        with Ledger(url, read_only=True) as ledger:
            inspection = inspect(ledger, run)
            is_old = ledger.is_upgraded_copy
        for finding in (*inspection.rows, *inspection.files):
            typer.echo(str(finding))
        if accept is not None and inspection.rows:
            with Ledger(url) as ledger:
                ledger.accept(list(inspection.rows), accept, current_user())
            typer.echo(f"accepted: {counted(len(inspection.rows), 'finding')} ({accept})")
            return
        if inspection.rows or inspection.files:
            raise typer.Exit(EXIT_FAILURE)
        whole = f"{counted(inspection.n_rows, 'row')} of the ledger, checkpoints, artifacts: all as they were written"
        old = "the ledger was written by an older al-loop, whose rows have no checksums; the next start adds them"
        typer.echo(old if is_old else whole)
        if replay and not _replay(run):
            raise typer.Exit(EXIT_FAILURE)


def _replay(run: str) -> bool:
    """Make every batch of a run again, and return whether all are the same."""
    from al_loop.campaign.reproduction import reproduced
    from al_loop.ledger import Ledger
    from al_loop.storage.locate import find_ledger, run_folder

    folder = run_folder(run)
    if folder is None:
        raise ConfigError(f"--replay: needs the run directory, not {run}, since the campaign's parts are found by it")
    are_same = True
    with Ledger(find_ledger(run), read_only=True) as ledger:
        for batch in reproduced(ledger, folder):
            typer.echo(str(batch))
            are_same = are_same and batch.is_same
    return are_same


def backup(
    run: RunArgument,
    folder: Annotated[
        Path | None,
        typer.Argument(help="A new folder; default: beside the run, with the time in its name.", show_default=False),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Copy a run, which may be running, to a new folder from which it can be read and resumed."""
    with exit_codes(verbose=verbose, needs_output=True):
        from al_loop.storage.inspection import back_up

        typer.echo(f"written: {back_up(run, folder)}")
