"""``al-loop import``: earlier measurements for a campaign that has begun."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes
from al_loop.errors import ConfigError, counted
from al_loop.outgoing import written_out


def import_data(
    run: RunArgument,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV, Excel, Parquet, SDF, or the directory of another run.",
            show_default=False,
        ),
    ],
    object: Annotated[str | None, typer.Option(help="The column of objects.", show_default=False)] = None,
    id: Annotated[str | None, typer.Option(help="The column of their names or numbers.", show_default=False)] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="OBJECTIVE=COLUMN", help="The column of an objective's values.", show_default=False),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="OBJECTIVE=UNIT", help="The unit of an objective's column.", show_default=False),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(metavar="OBJECTIVE=COLUMN", help="The column of standard deviations.", show_default=False),
    ] = None,
    failure: Annotated[str | None, typer.Option(help="The column of failures.", show_default=False)] = None,
    replicates: Annotated[
        Literal["average", "first", "last", "refuse"], typer.Option(help="What counts if an object has several values.")
    ] = "average",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Commit without confirmation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only preview what would be committed.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Import earlier measurements into a campaign, also while it runs; they cost nothing of its budget."""
    with exit_codes(verbose=verbose):
        from al_loop.config.initial_data import EarlierData
        from al_loop.people.imports import open_import

        items = [
            EarlierData(
                file=str(file),
                object=object,
                id=id,
                values=_pairs("value", value),
                units=_pairs("unit", unit),
                noise={**_pairs("noise", noise)},
                failure=failure,
                replicates=replicates,
            )
            for file in files
        ]
        with open_import(run, items) as pending:
            for line in pending.lines:
                typer.echo(written_out(line))
            if not pending.n_new:
                typer.echo("nothing new to import")
                return
            if dry_run:
                typer.echo(f"{counted(pending.n_new, 'measurement')} would be imported")
                return
            if not yes and sys.stdin.isatty():
                typer.confirm(f"Import {counted(pending.n_new, 'measurement')}?", abort=True)
            n = pending.commit()
        typer.echo(f"imported: {counted(n, 'measurement')}")


def _pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ConfigError(f"--{option}: {text!r}, expected OBJECTIVE=..., such as pIC50=activity")
        pairs[name] = value
    return pairs
