"""``al-loop tune-language``: tune a language model to sample in proportion to a reward."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes, stop_on_signals


def tune_language(
    config: Annotated[
        Path, typer.Argument(help="The YAML file: the keys model, prompts, reward, tune and seed.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Changes to the config, such as tune.steps=500.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("adapter.pt"),
    address: Annotated[
        str, typer.Option(help="local: this machine, without Ray; auto: start or join Ray; HOST:6379: that cluster.")
    ] = "local",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Tune a language model (GFlowNet fine-tuning of adapters). An interrupted one resumes when started again."""
    message = "interrupted; to resume, run the same command again"
    with exit_codes(verbose=verbose, when_interrupted=message), stop_on_signals():
        from al_loop.cli.terminal import progress_bar
        from al_loop.storage.files import require_writable

        require_writable(output, force=force, inputs=(config,))
        from al_loop.config.task_files import naming_places
        from al_loop.language.config import load_language_config

        settings = load_language_config(config, overrides or ())
        from al_loop.language.task import tune_file

        samplers = None
        if address != "local":
            from al_loop.actors.cluster.connect import connect
            from al_loop.actors.cluster.language import language_samplers

            connect(address)
            samplers = language_samplers(settings)
        with naming_places(config, overrides or ()):
            tuned = tune_file(settings, output, bar=progress_bar, report=typer.echo, samplers=samplers)
        size = output.stat().st_size / 1e6
        typer.echo(f"written: {output} ({size:.1f} MB); draw from it with:")
        typer.echo(shlex.join(["al-loop", "draw", str(output), "--prompt", tuned.environment.prompts[0]]))
