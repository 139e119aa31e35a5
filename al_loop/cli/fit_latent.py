"""``al-loop fit-latent``: fit a model with discrete latents to a file of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes, stop_on_signals

if TYPE_CHECKING:
    from al_loop.latent.task import MakeSamplers


def fit_latent(
    config: Annotated[Path, typer.Argument(help="The YAML file: the keys latent, em and seed.", show_default=False)],
    data: Annotated[
        Path,
        typer.Argument(
            help="Observations: a list or table of objects, a table of numbers, or an array (.npy).", show_default=False
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Changes to the config, such as em.rounds=20.", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("latent.pt"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    address: Annotated[
        str, typer.Option(help="local: this machine, without Ray; auto: start or join Ray; HOST:6379: that cluster.")
    ] = "local",
    verbose: VerboseOption = False,
) -> None:
    """Fit a model with discrete latents (GFlowNet-EM). An interrupted fit resumes when it is started again."""
    message = "interrupted; to resume, run the same command again"
    with exit_codes(verbose=verbose, when_interrupted=message), stop_on_signals():
        from al_loop.cli.terminal import progress_bar
        from al_loop.config.task_files import naming_places
        from al_loop.latent.config import load_latent_config
        from al_loop.storage.files import require_writable

        settings = load_latent_config(config, overrides or ())
        require_writable(output, force=force, inputs=(config, data))
        from al_loop.latent.task import fit_file

        with naming_places(config, overrides or ()), _samplers_at(address) as samplers:
            fit_file(settings, data, output, bar=progress_bar, report=typer.echo, samplers=samplers)
        typer.echo(f"written: {output}; draw from it with: al-loop draw {output}")


@contextmanager
def _samplers_at(address: str) -> Iterator[MakeSamplers | None]:
    """Yield what makes samplers on a cluster; None on this machine."""
    if address == "local":
        yield None
        return
    from al_loop.actors.cluster.latent_samplers import posterior_samplers

    with posterior_samplers(address) as samplers:
        yield samplers
