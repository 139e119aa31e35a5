"""``al-loop list`` and ``schema``: the parts and keys that a config can contain."""

from __future__ import annotations

import json

import typer

from al_loop.cli.common import exit_codes


def list_parts() -> None:
    """List all parts that a config can name."""
    with exit_codes(needs_output=True):
        from al_loop.config import plugins

        parts = {section: plugins.available(section) for section in plugins.ROOMS}
        width = max(len(part.kind) for section in parts.values() for part in section)
        for i, (section, infos) in enumerate(parts.items()):
            heading = "property (in constraints)" if section == "property" else section
            typer.secho(f"{'' if i == 0 else chr(10)}{heading}", bold=True)
            for info in infos:
                typer.echo(f"  {info.kind:<{width}}  {info.summary}")
        typer.echo('\nFor your own class or function, set target: "package.module:Name" instead of kind.')


def schema() -> None:
    """Print the JSON schema of a config, for editors."""
    with exit_codes(needs_output=True):
        from al_loop.config import json_schema

        typer.echo(json.dumps(json_schema(), indent=2))
