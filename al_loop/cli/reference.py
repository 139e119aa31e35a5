"""``al-loop list`` and ``schema``: the parts and keys that a config can contain."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import exit_codes

if TYPE_CHECKING:
    from al_loop.config.describe import Explanation

#: sections whose names alone say too little -> what stands above their parts
_HEADINGS = {"property": "property (in constraints)", "reward": "reward (of tune-language; of a campaign: list reward)"}


def list_parts(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="A part (gp, surrogate gp, environment.fragments), a section (rounds) or a key (rounds.count) to "
            "explain.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List all parts that a config can name, or explain the keys of a part or section."""
    with exit_codes(needs_output=True):
        if names:
            from al_loop.config.describe import explain

            for i, explanation in enumerate(explain(names)):
                if i:
                    typer.echo()
                _print_explanation(explanation)
        else:
            _print_parts()


def _print_explanation(explanation: Explanation) -> None:
    width = max(40, min(120, shutil.get_terminal_size().columns))
    typer.secho(explanation.title, bold=True, nl=not explanation.summary)
    if explanation.summary:
        heading = textwrap.fill(f"{explanation.title}: {explanation.summary}", width, subsequent_indent=" " * 6)
        typer.echo(heading.removeprefix(explanation.title))
    for key in explanation.keys:
        default = "required" if key.default is None else f"default: {key.default}"
        typer.echo(f"  {typer.style(key.name, bold=True)}  {key.type}, {default}")
        if key.meaning:
            typer.echo(textwrap.fill(key.meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6))
    for kind, summary in explanation.parts.items():
        typer.echo(f"  {typer.style(kind, bold=True)}  {summary}")
    if not explanation.keys and not explanation.parts:
        typer.echo("  has no keys")


def _print_parts() -> None:
    from al_loop.config import plugins
    from al_loop.config.language_rewards import LANGUAGE_REWARDS

    sections = {room: {info.kind: info.summary for info in plugins.available(room)} for room in plugins.ROOMS}
    sections["reward"] = dict(LANGUAGE_REWARDS)
    width = max(len(kind) for kinds in sections.values() for kind in kinds)
    for i, (section, kinds) in enumerate(sections.items()):
        typer.secho(f"{'' if i == 0 else chr(10)}{_HEADINGS.get(section, section)}", bold=True)
        for kind, summary in kinds.items():
            typer.echo(f"  {kind:<{width}}  {summary}")
    typer.echo('\nFor your own class or function, set target: "package.module:Name" instead of kind.')
    typer.echo("The keys of a part or section: al-loop list NAME, such as al-loop list gp")


def schema() -> None:
    """Print the JSON schema of a config, for editors."""
    with exit_codes(needs_output=True):
        from al_loop.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2))


def init(
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; default: NAME.yaml, for --from NAME.", show_default=False)
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            "--from",
            help="quickstart, lab, pool, peptides or analogues; or the name of a config in configs/, such as "
            "docking_seh.",
        ),
    ] = "quickstart",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a commented config to start from."""
    with exit_codes():
        from al_loop.config.templates import write_template

        path = write_template(template, file or Path(f"{template}.yaml"), is_replacing=force)
        typer.echo(f"written: {path}. To validate it: al-loop check {path}. To start it: al-loop run {path}")
