"""Lists of objects in files: one object per line, or the objects of a table."""

from __future__ import annotations

from pathlib import Path

from al_loop.datafiles.delimited import find_object_column, parse_delimited
from al_loop.datafiles.text_files import read_text
from al_loop.errors import ConfigError

#: suffixes of lists with a SMILES, and optionally a name, in each line
SMILES_SUFFIXES = (".smi", ".smiles")
_TABLE_SUFFIXES = (".csv", ".tsv")


def read_objects(path: str | Path) -> list[str]:
    """Return the objects in a file, in order.

    ``.smi`` and ``.smiles`` have a SMILES and optionally a name in each line. ``.csv`` and ``.tsv`` have a header and
    their objects in the column smiles, sequence or object, else in the first; a single column without such a name is a
    list without a header. Any other file has one object per line. All may be compressed (``.gz``, ``.xz``, ``.bz2``).

    Raises:
        ConfigError: the file cannot be read or contains no object.
    """
    file = read_text(Path(path))
    if file.suffix in _TABLE_SUFFIXES:
        objects = _objects_of_table(file.text, str(path))
    else:
        objects = list(parse_list(file.text, is_smiles=file.suffix in SMILES_SUFFIXES)[0])
    if not objects:
        raise ConfigError(f"{path} contains no object; expected a text file with one object per line")
    return objects


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


def _objects_of_table(text: str, file: str) -> list[str]:
    table = parse_delimited(text, file)
    column = find_object_column(table.header)
    if column is None and len(table.header) == 1:
        return [*table.header, *(cells[0] for cells in table.rows)]
    index = 0 if column is None else table.header.index(column)
    return [cells[index] for cells in table.rows if cells[index]]
