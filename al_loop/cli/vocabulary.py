"""``al-loop vocabulary``: make a vocabulary of blocks from a file of molecules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_loop.cli.common import VerboseOption, exit_codes, stop_on_signals
from al_loop.errors import ConfigError, counted

if TYPE_CHECKING:
    from al_loop.environments.fragments.vocabulary_building import VocabularyBuilder

_SUFFIXES = (".xz", ".gz")
_SIZES = (100, 300, 1000, 3000)  # shown beside the one that is written


def vocabulary(
    molecules: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Molecules: a .smi file, a table with a column of SMILES, or one SMILES per line; also .xz and .gz.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write; .json.xz or .json.gz compresses it.")
    ] = Path("vocabulary.json"),
    size: Annotated[
        list[int] | None,
        typer.Option(
            "--size",
            min=2,
            help="Number of blocks, the most frequent first; repeated: one file for each, named after its size. "
            "Default: 1000.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use a random sample of so many molecules; the same each time.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Make a vocabulary of blocks (ring systems, chains) from a file of molecules, for the environment fragments."""
    with exit_codes(verbose=verbose, when_interrupted="interrupted: nothing was written"), stop_on_signals():
        from al_loop.storage.files import require_writable

        sizes = sorted(set(size or [1000]))
        files = {n: output if len(sizes) == 1 else _named_after(output, n) for n in sizes}
        for path in files.values():
            require_writable(path, force=force, inputs=(molecules,))
        builder = _survey(molecules, limit)
        shown = sorted({*sizes, *(n for n in _SIZES if n < sizes[-1])}) if size is None else sizes
        for n in shown:
            _write(builder, n, files.get(n), molecules, force=force)
        path = files[sizes[-1]]
        typer.echo(f"to use it, in a config:\nenvironment: {{kind: fragments, vocabulary: {path}}}")


def _named_after(output: Path, size: int) -> Path:
    name, dot, suffixes = output.name.partition(".")
    return output.with_name(f"{name}-{size}{dot}{suffixes}")


def _survey(molecules: Path, limit: int | None) -> VocabularyBuilder:
    """Cut the molecules of a file, or a sample of them, and say what was skipped or changed."""
    import random

    from al_loop.cli.terminal import progress_bar
    from al_loop.datafiles.object_lists import read_objects
    from al_loop.datafiles.text_files import read_content
    from al_loop.environments.fragments.vocabulary_building import VocabularyBuilder, survey

    smiles = read_objects(molecules)
    n_in_file = len(smiles)
    source = {"file": molecules.name, "sha256": read_content(molecules).digest, "n_in_file": n_in_file}
    sampled = ""
    if limit is not None and limit < len(smiles):
        sampled = f"a random sample of {limit} of the "
        smiles = random.Random(0).sample(smiles, limit)
    with progress_bar("cutting", len(smiles)) as advance:
        pieces = survey(smiles, advance)
    typer.echo(f"{sampled}{counted(n_in_file, 'molecule')} in {molecules}")
    for line in pieces.describe():
        typer.echo(f"  {line}")
    if not pieces.molecules:
        raise ConfigError(
            f"{molecules}: none of {counted(pieces.n, 'line')} is a molecule that can be cut into blocks; expected one "
            "SMILES per line, or a column of SMILES"
        )
    return VocabularyBuilder(pieces, source)


def _write(builder: VocabularyBuilder, size: int, path: Path | None, molecules: Path, *, force: bool) -> None:
    """Print what the vocabulary of one size covers, and write it if it has a file."""
    import gzip
    import lzma

    from al_loop.environments.fragments.vocabulary_building import MAX_ATOMS, MAX_FRAGMENTS
    from al_loop.storage.files import write_output

    try:
        made = builder.build(size)
    except ValueError as error:
        reason = f"{size} blocks are too few" if builder.n_blocks >= size else "its blocks do not suffice"
        left_out = _left_out(builder)
        raise ConfigError(f"{molecules}: {reason}: {error}{left_out and '; left out: '}{left_out}") from None
    n, share = len(made.blocks), made.source["coverage"]
    left_out = _left_out(builder)
    if n < size:
        note = f" (of {size}; the file has no more{left_out and ', but for '}{left_out})"
    else:
        note = f" (without {left_out})" if left_out else ""
    text = f"{n} blocks{note} cover {share:.1%} of the molecules"
    if path is None:
        typer.echo(f"{text} (not written)")
        return
    content = made.to_bytes()
    if path.suffix in _SUFFIXES:
        content = lzma.compress(content) if path.suffix == ".xz" else gzip.compress(content, mtime=0)
    write_output(path, content, force=force)
    limits = f"in molecules of at most {MAX_FRAGMENTS} blocks and {MAX_ATOMS} heavy atoms"
    typer.echo(f"{text}, {limits}; written: {path}")
    if not share:
        typer.echo(f"warning: no molecule of {molecules} can be made of these blocks; use a file with more molecules")


def _left_out(builder: VocabularyBuilder) -> str:
    """Return how many blocks of the molecules the last vocabulary leaves out, by the reason; empty if there is none."""
    groups = [f"{len(patterns)} with {reason}, such as {patterns[0]}" for reason, patterns in builder.refused.items()]
    groups += [f"{builder.n_left_out} that no chain closes"] if builder.n_left_out else []
    return "; ".join(groups)
