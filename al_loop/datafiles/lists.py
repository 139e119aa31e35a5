"""Lists as text: one object per line."""

from __future__ import annotations

#: suffixes of lists with a SMILES, and optionally a name, in each line
SMILES_SUFFIXES = (".smi", ".smiles")


def parse_list(text: str, *, is_smiles: bool) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Parse a list with one object per line.

    A first line that is just ``smiles`` (``object``, if ``is_smiles`` is false) is a header and is skipped.

    Args:
        text: the content of the file.
        is_smiles: whether only the first word of each line is the object, so that a name may follow.

    Returns:
        The objects and their line numbers.
    """
    rows = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if is_smiles:
        rows = [(number, line.split()[0]) for number, line in rows]
    if rows and rows[0][1].casefold() == ("smiles" if is_smiles else "object"):
        rows = rows[1:]
    return tuple(cell for _, cell in rows), tuple(number for number, _ in rows)
