"""Tables of objects in files, by column: measured values, pools, decisions. Importing it loads no torch or RDKit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from al_loop.datafiles.cells import NO_VALUE, NumberNotation, is_number_like
from al_loop.datafiles.delimited import TableCells
from al_loop.datafiles.object_columns import ObjectType, find_objects, object_type_in
from al_loop.datafiles.table_files import read_cells
from al_loop.errors import ConfigError, counted
from al_loop.smiles import canonical_smiles


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """A table as text, column by column.

    Args:
        file: the file as the user named it, for messages.
        columns: the cells of each column, without surrounding blanks.
        lines: the line number of each row in the file.
        digest: SHA-256 of the decompressed file, in hexadecimal digits.
        delimiter: what separates the cells in the file; empty if it is not delimited text.
        unit: what ``lines`` counts, for messages.
    """

    file: str
    columns: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]
    digest: str
    delimiter: str = ""
    unit: str = "line"
    _canonical: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of a column.

        Raises:
            ConfigError: the table has no such column.
        """
        if name not in self.columns:
            raise ConfigError(f"{self.file}: there is no column {name!r}; its columns are {', '.join(self.columns)}")
        return self.columns[name]

    def object_column(self, name: str | None = None, key: str = "column") -> str:
        """Return the name of the column of objects.

        Args:
            name: the column that the user chose; None: see ``find_objects``.
            key: the setting by which the user can choose it, for messages.

        Raises:
            ConfigError: the table has no such column, or several columns may be meant.
        """
        if name is not None:
            self.column(name)
            return name
        return find_objects(self.columns, self.file, key)

    def object_type(self, column: str) -> ObjectType:
        """Return the type of the objects in a column, by its name, or else by its cells."""
        return object_type_in(column, self.column(column))

    def objects(self, column: str, object_type: ObjectType, is_canonical: bool = False) -> tuple[str, ...]:
        """Return the object in each row, molecules as canonical SMILES.

        Args:
            column: name of the column of objects.
            object_type: the type of the objects; molecules are converted to RDKit's canonical SMILES (a quarter of a
                millisecond each), other objects are returned unchanged.
            is_canonical: whether molecules are canonical already, and returned unchanged, too.

        Raises:
            ConfigError: a cell is empty or not a valid SMILES; the message gives its line.
        """
        cells = self.column(column)
        for line, cell in zip(self.lines, cells, strict=True):
            if not cell:
                raise ConfigError(f"{self.file}, {self.unit} {line}: the object in the column {column!r} is missing")
        if object_type != "molecule" or is_canonical:
            return cells
        if column not in self._canonical:
            self._canonical[column] = self._as_canonical(cells)
        return self._canonical[column]

    def _as_canonical(self, cells: tuple[str, ...]) -> tuple[str, ...]:
        try:
            molecules = [canonical_smiles(cell) for cell in cells]
        except ImportError as error:
            raise ConfigError(f"{self.file}: molecules require RDKit: pip install rdkit ({error})") from error
        invalid = [i for i, smiles in enumerate(molecules) if smiles is None]
        if invalid:
            n_others = len(invalid) - 1
            others = f" (and {counted(n_others, 'further row')})" if n_others else ""
            raise ConfigError(
                f"{self.file}, {self.unit} {self.lines[invalid[0]]}: {cells[invalid[0]]!r:.80} is not a valid "
                f"SMILES{others}; correct or remove it, or set object_type: other"
            )
        return tuple(smiles for smiles in molecules if smiles is not None)

    @cached_property
    def notation(self) -> NumberNotation:
        """The notation of numbers in the table."""
        return NumberNotation.of_table(self.delimiter, self.columns.values())

    def is_numeric(self, column: str) -> bool:
        """Return whether the first or most cells with a value are meant as numbers, or as bounds such as >5."""
        cells = [cell for cell in self.column(column) if cell.casefold() not in NO_VALUE]
        return bool(cells) and (is_number_like(cells[0]) or 2 * sum(map(is_number_like, cells)) > len(cells))

    def numbers(self, column: str) -> tuple[float, ...]:
        """Return the numbers of a column, NaN for missing values: blank cells, NA, N/A, NaN, None, null.

        Raises:
            ConfigError: a cell is not a finite number, or it is not certain which; the message gives its line.
        """
        numbers = []
        for line, cell in zip(self.lines, self.column(column), strict=True):
            number = self.notation.number(cell)
            if number is None:
                if cell.casefold() not in NO_VALUE:
                    fault, remedy = self.notation.fault(cell)
                    remedy = remedy or "correct it, or leave the cell blank if there is no value"
                    where = f"{self.file}, {self.unit} {line}"
                    raise ConfigError(f"{where}: {cell!r:.80} in the column {column!r} {fault}; {remedy}")
                number = math.nan
            numbers.append(number)
        return tuple(numbers)


def shipped_folder() -> Path:
    """Return the folder of the shipped tables, without importing the oracles."""
    return Path(__file__).parents[1] / "oracles" / "data"


def shipped() -> tuple[str, ...]:
    """Return the names of the shipped tables."""
    return tuple(sorted(path.name.removesuffix(".csv.gz") for path in shipped_folder().glob("*.csv.gz")))


def is_shipped(file: str) -> bool:
    """Return whether ``read_table`` reads a shipped table under this name."""
    return file in shipped() and not Path(file).is_file()


def read_table(file: str) -> ObjectTable:
    """Read a table; an unchanged file is read once per process.

    A table is delimited text (a header and one row per line, with cells separated by commas, semicolons or tabs), an
    Excel (``.xlsx``), Parquet or SDF file. ``.smi`` and ``.smiles`` (a SMILES and optionally a name in each line) and
    ``.txt`` (one object per line) have no header and yield one column, ``smiles`` or ``object``. All may be compressed
    (``.gz``, ``.xz``, ``.bz2``).

    Args:
        file: a path, relative to the working directory, or the name of a shipped table.

    Raises:
        ConfigError: there is no such file, or it is not a valid table; the message gives the line.
    """
    path = Path(file)
    if not path.is_file():
        if file not in shipped():
            raise ConfigError(
                f"file: there is no file {file!r} in {Path.cwd()}, and no shipped table of that name "
                f"(shipped tables: {', '.join(shipped())})"
            )
        path = shipped_folder() / f"{file}.csv.gz"
    stat = path.stat()
    return _read(path.resolve(), file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, file: str, changed_ns: int, size: int) -> ObjectTable:
    cells, digest = read_cells(path, file)
    return object_table(cells, file, digest)


def object_table(cells: TableCells, file: str, digest: str) -> ObjectTable:
    """Return the cells of a table by column.

    Args:
        cells: the table.
        file: the file as the user named it, for messages.
        digest: SHA-256 of the file.

    Raises:
        ConfigError: the table has no rows.
    """
    if not cells.rows:
        raise ConfigError(f"{file}: the table has no rows")
    columns = dict(zip(cells.header, zip(*cells.rows, strict=True), strict=True))
    return ObjectTable(file, columns, cells.lines, digest, cells.delimiter, cells.unit)
