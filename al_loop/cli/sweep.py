"""``al-loop sweep``: one campaign for each combination of seeds and settings."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import (
    EXIT_FAILURE,
    ConfigArgument,
    VerboseOption,
    exit_codes,
    resume_message,
    stop_on_signals,
)


def sweep(
    config: ConfigArgument,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=[V1,V2,...] [KEY=VALUE]...",
            help="A list defines the values of a sweep, such as seed=[0,1,2] reward.beta=[4,12]; any other value "
            "applies to all campaigns. For a setting that is itself a list, pass a list of lists.",
            show_default=False,
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Directory of all the runs; default: runs/<name>-sweep.", show_default=False),
    ] = None,
    address: Annotated[
        str, typer.Option(help="local: this machine, without Ray; auto: start or join Ray; ray://...: that cluster.")
    ] = "local",
    concurrent: Annotated[
        int | None, typer.Option(min=1, help="Number of concurrent campaigns; default: as many as fit.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Number of seeds for each setting, counted up from the seed of the config.")
    ] = 1,
    verbose: VerboseOption = False,
) -> None:
    """Run a campaign for every combination of seeds and settings; the same command resumes it."""
    with exit_codes(verbose=verbose, when_interrupted=resume_message()), stop_on_signals():
        from al_loop.actors.sweeps.plan import plan
        from al_loop.actors.sweeps.run import sweep as run_sweep
        from al_loop.cli.terminal.sweep import line_of_event, show_sweep

        combinations = plan(config, overrides or (), samples)
        folder = run_dir or Path("runs") / f"{combinations[0].config.name}-sweep"
        result = run_sweep(
            combinations,
            folder,
            address=address,
            concurrent=concurrent,
            on_event=lambda name, event: typer.echo(line_of_event(name, event)),
        )
        show_sweep(result)
        typer.echo(f"written: {folder / 'sweep.csv'}. For details: al_loop.open_run(RUN), or")
        typer.echo(f"  al-loop compare {shlex.quote(str(folder))} -o compare.html")
        typer.echo(f"  al-loop status {shlex.quote(str(folder / combinations[0].name))}")
        if result.n_failed:
            raise typer.Exit(EXIT_FAILURE)
