"""``al-loop dashboard``: the report of runs, live in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes
from al_loop.outgoing import written_out


def dashboard(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, ledger files, database URLs, or folders of runs.",
            show_default=False,
        ),
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen to; any other than this one lets other machines read the runs.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0: any that is free.")] = 8500,
    verbose: VerboseOption = False,
) -> None:
    """Serve the report of runs while their ledgers grow; read-only, and to this machine alone unless told otherwise."""
    with exit_codes(verbose=verbose, needs_output=True, when_interrupted="stopped"):
        from al_loop.report.server import LOOPBACK, Dashboard, open_server
        from al_loop.storage.locate import find_ledger, runs_below

        for run in runs:
            if not runs_below(run):
                find_ledger(run)
        with open_server(Dashboard(runs), host, port) as server:
            address = f"[{host}]" if ":" in host else host
            typer.echo(written_out(f"serving {', '.join(run.rpartition('@')[2] for run in runs)}"))
            typer.echo(f"open http://{address}:{server.server_address[1]}/ in a browser; Ctrl-C ends it")
            if host not in LOOPBACK:
                typer.echo("note: whoever can reach this address can read these runs; there is no login", err=True)
            server.serve_forever()
