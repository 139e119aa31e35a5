"""``al-loop retry``: ask again for what failed."""

from __future__ import annotations

from typing import Annotated

import typer

from al_loop.cli.common import RunArgument, VerboseOption, exit_codes
from al_loop.errors import counted


def retry(
    run: RunArgument,
    reason: Annotated[str, typer.Option(help="The reason, which is recorded.")] = "",
    objects: Annotated[
        list[str] | None,
        typer.Option(
            "--objects", metavar="OBJECT", help="An object that failed (or its id); default: all.", show_default=False
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only failures of this kind, e.g. timeout.", show_default=False),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="The person who asks; default: the current user.", show_default=False)
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Have the objects that failed measured again, once the oracle is mended."""
    with exit_codes(verbose=verbose):
        from al_loop.people.retry import retry as ask_again

        names = [name for text in objects or () for name in text.split(",") if name.strip()]
        candidates = ask_again(run, objects=names, kinds=kinds or (), reason=reason, by=by)
        n = len(candidates)
        typer.echo(
            f"asked again: {counted(n, 'object')}; to measure {'them' if n != 1 else 'it'}, run the "
            "campaign's command again"
        )
