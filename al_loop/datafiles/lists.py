"""Lists as text: one object per line."""

from __future__ import annotations

from al_loop.datafiles.delimited import OBJECT_COLUMNS

#: suffixes of lists with a SMILES, and optionally a name, in each line
SMILES_SUFFIXES = (".smi", ".smiles")


def parse_list(text: str, *, is_smiles: bool) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Parse a list with one object per line, or the sequences of FASTA, whose lines belong together.

    A first line that is just ``smiles``, ``sequence`` or ``object`` is a header and is skipped.

    Args:
        text: the content of the file.
        is_smiles: whether only the first word of each line is the object, so that a name may follow.

    Returns:
        The objects and their line numbers.
    """
    rows = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if is_smiles:
        rows = [(number, line.split()[0]) for number, line in rows]
    elif rows and rows[0][1].startswith(">"):
        rows = _sequences_of_fasta(rows)
    if rows and rows[0][1].casefold() in OBJECT_COLUMNS:
        rows = rows[1:]
    return tuple(cell for _, cell in rows), tuple(number for number, _ in rows)


def _sequences_of_fasta(rows: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the sequences between the lines of FASTA that begin with ``>``, with the number of their first lines."""
    sequences: list[tuple[int, str]] = []
    is_first = True
    for number, line in rows:
        if line.startswith(">"):
            is_first = True
        elif is_first:
            sequences.append((number, line))
            is_first = False
        else:
            sequences[-1] = (sequences[-1][0], sequences[-1][1] + line)
    return sequences
