"""Lists of objects in files: one object per line, or the objects of a table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from al_loop.datafiles.delimited import find_object_column
from al_loop.datafiles.lists import SMILES_SUFFIXES, parse_list
from al_loop.datafiles.object_columns import find_objects
from al_loop.datafiles.table_files import TABLE_SUFFIXES, parse_cells
from al_loop.datafiles.text_files import FileContent, read_content
from al_loop.errors import ConfigError


@dataclass(frozen=True)
class ObjectList:
    """The objects in a file, in order.

    Args:
        objects: the objects.
        lines: the line number of each.
        unit: what ``lines`` counts, for messages.
        n_blank: number of rows of a table without an object.
    """

    objects: tuple[str, ...]
    lines: tuple[int, ...]
    unit: str = "line"
    n_blank: int = 0


def read_objects(path: str | Path) -> list[str]:
    """Return the objects in a file, in order; see ``read_object_list``."""
    return list(read_object_list(path).objects)


def read_object_list(path: str | Path) -> ObjectList:
    """Read the objects in a file.

    ``.smi`` and ``.smiles`` have a SMILES and optionally a name in each line. Tables (``.csv``, ``.tsv``, ``.xlsx``,
    ``.parquet``, ``.sdf``) have their objects in the column that ``find_objects`` finds; a single column
    that is not called smiles, sequence or object is a list without a header. Any other file has one object per line,
    or sequences in FASTA. Text may be compressed (``.gz``, ``.xz``, ``.bz2``).

    Raises:
        ConfigError: the file cannot be read or contains no object, or it is not certain which column contains them.
    """
    file = read_content(Path(path))
    if file.suffix in TABLE_SUFFIXES:
        found = _objects_of_table(file)
    else:
        found = ObjectList(*parse_list(file.text(), is_smiles=file.suffix in SMILES_SUFFIXES))
    if not found.objects:
        raise ConfigError(f"{path} contains no object; expected a text file with one object per line")
    return found


def read_texts(path: str | Path) -> list[str]:
    """Return the texts in a file, in order, with their leading and trailing spaces, which language models read.

    Tables and ``.smi`` files are those of ``read_objects``; any other file has one text per line, and blank lines are
    left out.

    Raises:
        ConfigError: the file cannot be read or contains no text, or it is not certain which column contains them.
    """
    file = read_content(Path(path))
    if file.suffix in TABLE_SUFFIXES or file.suffix in SMILES_SUFFIXES:
        return read_objects(path)
    texts = [line for line in file.lines() if line.strip()]
    if not texts:
        raise ConfigError(f"{path} contains no text; expected one per line")
    return texts


def _objects_of_table(file: FileContent) -> ObjectList:
    table = parse_cells(file)
    if len(table.header) == 1 and find_object_column(table.header) is None:
        cells = (*table.header, *(cells[0] for cells in table.rows))
        return ObjectList(cells, (table.header_line, *table.lines), table.unit)
    columns = dict(zip(table.header, zip(*table.rows, strict=True), strict=False)) if table.rows else {}
    cells = columns[find_objects(columns, file.name)] if columns else ()
    rows = [(cell, line) for cell, line in zip(cells, table.lines, strict=False) if cell]
    objects, lines = tuple(cell for cell, _ in rows), tuple(line for _, line in rows)
    return ObjectList(objects, lines, table.unit, len(cells) - len(rows))
