"""``al-loop draw``: draw objects from a file of a trained model, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes, stop_on_signals
from al_loop.errors import ConfigError, counted, not_one_of

if TYPE_CHECKING:
    from al_loop.gflownet.saved_models import DrawableModel

#: kind of a model's file -> function of the file that returns a ``DrawableModel``
LOADERS: Mapping[str, str] = {
    "energy": "al_loop.energy.model:load",
    "latent": "al_loop.latent.files:load_drawable",
    "language": "al_loop.language.tuned:load_drawable",
}


def draw(
    model: Annotated[Path, typer.Argument(help="A file of a trained model, such as energy.pt.", show_default=False)],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of objects.")] = 100,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: a table (.csv, .tsv, .xlsx, .sdf) with all columns, otherwise one object per "
            "line; -: print them.",
        ),
    ] = Path("-"),
    seed: Annotated[int, typer.Option(min=0, max=(1 << 64) - 1, help="The same seed draws the same objects.")] = 0,
    prompt: Annotated[
        str | None, typer.Option(help="What the objects continue, for models that have prompts.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Draw objects from a trained model: an energy, a latent-variable model or a tuned language model."""
    with exit_codes(verbose=verbose, needs_output=str(output) == "-"), stop_on_signals():
        from al_loop.datafiles.table_formats import SUFFIXES, encode_rows, format_of
        from al_loop.storage.files import require_output, write_output

        require_output(output, force=force, inputs=(model,))
        table = load_drawable(model).draw_table(n, seed=seed, prompt=prompt)
        objects = [str(name) for name in table["object"]]
        if output.suffix.casefold() in SUFFIXES:
            rows = list(zip(*table.values(), strict=True))
            content = encode_rows(list(table), rows, format_of(output, None, ("csv", "tsv", "jsonl", "xlsx", "sdf")))
        else:
            lines = [_as_line(name) for name in objects]
            if lines != objects:
                typer.echo("line breaks are written as \\n; a table (-o draws.csv) keeps them", err=True)
            content = "".join(f"{line}\n" for line in lines).encode()
        write_output(output, content, force=force)
        if str(output) != "-":
            typer.echo(f"written: {output}: {counted(len(objects), 'object')}, {len(set(objects))} of them distinct")


def _as_line(name: str) -> str:
    """Return a text with its line breaks escaped, so that it is one line of a file."""
    return name.replace("\r", "\\r").replace("\n", "\\n")


def load_drawable(path: Path) -> DrawableModel:
    """Load a model to draw from.

    Args:
        path: its file.

    Raises:
        ConfigError: the file is not a model of a known kind.
    """
    from al_loop.gflownet.saved_models import kind_of, read_model

    kind = kind_of(read_model(path))
    if kind not in LOADERS:
        raise ConfigError(f"{path}: its kind {not_one_of(kind, LOADERS)}; was it written by a newer al-loop?")
    module, _, function = LOADERS[kind].partition(":")
    model: DrawableModel = getattr(import_module(module), function)(path)
    return model
