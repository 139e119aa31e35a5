"""Detection of a table's column of objects and of their type. RDKit is loaded if the headings do not decide."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from al_loop.datafiles.cells import is_number_like
from al_loop.datafiles.delimited import find_object_column
from al_loop.errors import ConfigError
from al_loop.smiles import canonical_smiles

ObjectType = Literal["molecule", "sequence", "other"]

_N_SAMPLE_CELLS = 50
#: headings such as No and CO are no molecules
_LONGEST_ABBREVIATION = 2
#: names of columns that usually contain structures
_STRUCTURES = re.compile(r"(?:.*[ _-])?(?:structures?|molecules?|mols?|compounds?|ligands?)(?:[ _-].*)?", re.IGNORECASE)
#: names of columns that do not contain objects, if another column may
_NOT_OBJECTS = re.compile(
    r"(?:.*[ _-])?(?:ids?|no|nr|number|index|cas|inchi|inchi ?key|vendor|supplier|catalogue?|price|cost|currency|date|"
    r"comments?|notes?|remarks?|failures?|reason|units?|operator|batch|plate|well|round|url|category|class|status)"
    r"(?:[ _-].*)?|.*(?:ID|Id)",
    re.IGNORECASE,
)


def object_type_of(column: str) -> ObjectType:
    """Return the type of the objects in a column, by its name: molecule (smiles), sequence, or else other."""
    name = column.casefold()
    return "molecule" if "smiles" in name else "sequence" if "sequence" in name else "other"


def object_type_in(column: str, cells: Sequence[str]) -> ObjectType:
    """Return the type of the objects in a column, by its name, or else by its cells.

    Args:
        column: the name of the column.
        cells: its cells; they are molecules if all of the first ones are SMILES that cannot be mistaken for words, or
            if the column is called structure, molecule, compound or ligand.
    """
    by_name = object_type_of(column)
    if by_name != "other" or not _are_smiles(cells):
        return by_name
    is_written_as_smiles = any(re.search(r"[a-z\d()=#\[\]]", cell) for cell in _sample(cells))
    return "molecule" if is_written_as_smiles or _STRUCTURES.fullmatch(column) else "other"


def find_objects(columns: Mapping[str, Sequence[str]], file: str, key: str | None = None) -> str:
    """Return the name of the column of objects.

    It is called smiles, sequence or object, or its name mentions SMILES or a sequence, or it is the only one with
    SMILES, or the only one of text.

    Args:
        columns: the cells of each column.
        file: name of the file in messages.
        key: the setting by which the user can name the column, for messages; None: there is none.

    Raises:
        ConfigError: several columns may be meant, or a molecule stands in place of the column's heading.
    """
    if (exact := find_object_column(columns)) is not None:
        alike = [name for name in columns if name.casefold() == exact.casefold()]
        if len(alike) > 1:
            raise _uncertain(alike, file, key)
        return exact
    name = _likely_objects(columns, file, key)
    if len(name) > _LONGEST_ABBREVIATION and _are_smiles([name, *columns[name]]):
        raise ConfigError(
            f"{file}: the first row has the molecule {name!r:.80} in place of a heading; add a row of headings, such "
            "as smiles,name"
        )
    return name


def _likely_objects(columns: Mapping[str, Sequence[str]], file: str, key: str | None) -> str:
    """Return the name of the column of objects, which is not called smiles, sequence or object."""
    names = list(columns)
    for word in ("smiles", "sequence"):
        mentioning = [name for name in names if word in name.casefold()]
        if len(mentioning) == 1:
            return mentioning[0]
        if mentioning:
            raise _uncertain(mentioning, file, key)
    if len(names) == 1:
        return names[0]
    text = [name for name in names if not _are_numbers(columns[name])]
    molecules = [name for name in text if object_type_in(name, columns[name]) == "molecule"]
    if len(molecules) == 1:
        return molecules[0]
    choices = molecules or [name for name in text or names if name.casefold() != "value"]
    if len(choices) > 1:
        choices = [name for name in choices if not _NOT_OBJECTS.fullmatch(name)] or choices
    if len(choices) != 1:
        raise _uncertain(choices or names, file, key)
    return choices[0]


def _uncertain(names: Sequence[str], file: str, key: str | None) -> ConfigError:
    shown = ", ".join(map(repr, names))
    by_key = f"name it with {key}, or " if key else ""
    return ConfigError(
        f"{file}: it is not certain which column contains the objects: {shown}; {by_key}call it alone smiles, sequence "
        "or object"
    )


def _sample(cells: Sequence[str]) -> list[str]:
    sample = []
    for cell in cells:
        if cell:
            sample.append(cell)
        if len(sample) == _N_SAMPLE_CELLS:
            break
    return sample


def _are_numbers(cells: Sequence[str]) -> bool:
    sample = _sample(cells)
    return bool(sample) and all(map(is_number_like, sample))


def _are_smiles(cells: Sequence[str]) -> bool:
    sample = _sample(cells)
    try:
        return bool(sample) and all(canonical_smiles(cell) is not None for cell in sample)
    except ImportError:
        return False
