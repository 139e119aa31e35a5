"""Tables and lists of objects in files: CSV with a header, or one object a line. Needs neither torch nor RDKit."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

from al_loop.errors import ConfigError
from al_loop.smiles import canonical_smiles

ObjectType = Literal["molecule", "sequence", "other"]

#: names by which a column of objects is known, in the order in which they are looked for
OBJECT_COLUMNS = ("smiles", "sequence", "object")
#: cells that say that there is no value, in lower case
NO_VALUE = frozenset({"", "na", "n/a", "nan", "none", "null"})
_LISTS = (".smi", ".smiles", ".txt")
_DECOMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


@dataclass(frozen=True, eq=False)
class Table:
    """A table as text, column by column.

    Attributes:
        file: what it was asked for by, for messages.
        columns: the cells of each column, without blanks around them.
        lines: in which line of the file each row stands.
        digest: SHA-256 of the file, decompressed, in hexadecimal.
    """

    file: str
    columns: Mapping[str, tuple[str, ...]]
    lines: tuple[int, ...]
    digest: str
    _canonical: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column.

        Raises:
            ConfigError: there is none of that name.
        """
        if name not in self.columns:
            raise ConfigError(f"{self.file}: it has no column {name!r}; its columns are {', '.join(self.columns)}")
        return self.columns[name]

    def object_column(self, name: str | None = None) -> str:
        """The column of the objects: the one asked for, else one called smiles, sequence or object, else the first.

        Raises:
            ConfigError: there is no such column.
        """
        if name is not None:
            self.column(name)
            return name
        by_name = {column.casefold(): column for column in self.columns}
        return next((by_name[known] for known in OBJECT_COLUMNS if known in by_name), next(iter(self.columns)))

    def objects(self, column: str, object_type: ObjectType, is_canonical: bool = False) -> tuple[str, ...]:
        """The object in each row, molecules as canonical SMILES.

        Args:
            column: where the objects stand.
            object_type: molecules are brought to RDKit's canonical SMILES (a quarter of a millisecond each), anything
                else is taken as it is.
            is_canonical: molecules are taken as they are, too.

        Raises:
            ConfigError: a cell is empty or is no SMILES, with its line.
        """
        cells = self.column(column)
        for line, cell in zip(self.lines, cells, strict=True):
            if not cell:
                raise ConfigError(f"{self.file}, line {line}: the column {column!r} names no object")
        if object_type != "molecule" or is_canonical:
            return cells
        if column not in self._canonical:
            self._canonical[column] = self._as_canonical(cells)
        return self._canonical[column]

    def _as_canonical(self, cells: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = [canonical_smiles(cell) for cell in cells]
        except ImportError as error:
            raise ConfigError(f"{self.file}: molecules need RDKit: pip install rdkit ({error})") from error
        wrong = [i for i, smiles in enumerate(found) if smiles is None]
        if wrong:
            more = f" (and {len(wrong) - 1} further rows)" if len(wrong) > 1 else ""
            raise ConfigError(
                f"{self.file}, line {self.lines[wrong[0]]}: {cells[wrong[0]]!r:.80} is not a valid SMILES{more}; "
                "correct or remove it, or say object_type: other"
            )
        return tuple(smiles for smiles in found if smiles is not None)

    def is_numeric(self, column: str) -> bool:
        """Whether the first cell that is not blank is a number."""
        first = next((cell for cell in self.column(column) if cell.casefold() not in NO_VALUE), None)
        return first is not None and _number(first) is not None

    def numbers(self, column: str) -> tuple[float, ...]:
        """The numbers of a column, NaN where it has none: blank cells, NA, N/A, NaN, None, null.

        Raises:
            ConfigError: a cell is not a finite number, with its line.
        """
        numbers = []
        for line, cell in zip(self.lines, self.column(column), strict=True):
            number = _number(cell)
            if number is None:
                if cell.casefold() not in NO_VALUE:
                    raise ConfigError(
                        f"{self.file}, line {line}: {cell!r:.80} in the column {column!r} is not a finite number; "
                        "correct it, or leave it blank where there is no value"
                    )
                number = math.nan
            numbers.append(number)
        return tuple(numbers)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def object_type_of(column: str) -> ObjectType:
    """What a column of this name holds: molecules where it speaks of SMILES, sequences where it speaks of sequences."""
    name = column.casefold()
    return "molecule" if "smiles" in name else "sequence" if "sequence" in name else "other"


# ---- files -------------------------------------------------------------------------------------------------------


def shipped_folder() -> Path:
    """Where the tables lie that are shipped, found without importing the oracles."""
    return Path(__file__).parents[1] / "oracles" / "data"


def shipped() -> tuple[str, ...]:
    """The names of the tables that are shipped."""
    return tuple(sorted(path.name.removesuffix(".csv.gz") for path in shipped_folder().glob("*.csv.gz")))


def read_table(file: str) -> Table:
    """Reads a table; the same file is read once in a process.

    A file with a header and a row a line: its cells are parted by commas, or by semicolons or tabs where the header has
    more of these. ``.smi``, ``.smiles`` (a SMILES and perhaps a name in each line) and ``.txt`` (an object a line) have
    no header and give one column, ``smiles`` or ``object``. Any of them may be compressed (``.gz``, ``.xz``, ``.bz2``).

    Args:
        file: a path, relative to the folder from which the campaign is started, or the name of a shipped table.

    Raises:
        ConfigError: it is not there or is no such table, with the line where something is wrong.
    """
    path = Path(file)
    if not path.is_file():
        if file not in shipped():
            raise ConfigError(
                f"file: there is no file {file!r} in {Path.cwd()}, and no shipped table of that name "
                f"(shipped are {', '.join(shipped())})"
            )
        path = shipped_folder() / f"{file}.csv.gz"
    facts = path.stat()
    return _read(path.resolve(), file, facts.st_mtime_ns, facts.st_size)


def is_shipped(file: str) -> bool:
    """Whether ``read_table`` takes this for the name of a shipped table."""
    return file in shipped() and not Path(file).is_file()


@lru_cache(maxsize=8)
def _read(path: Path, file: str, changed_ns: int, size: int) -> Table:
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    try:
        content = path.read_bytes()
        if suffixes and suffixes[-1] in _DECOMPRESS:
            content = _DECOMPRESS[suffixes.pop()](content)
        text = content.decode("utf-8-sig")
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        raise ConfigError(f"{file}: it cannot be read as text in UTF-8: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in _LISTS:
        columns, lines = _parse_list(text, "object" if suffix == ".txt" else "smiles")
    else:
        columns, lines = _parse_csv(text, file)
    if not lines:
        raise ConfigError(f"{file}: it has no rows")
    return Table(file, columns, lines, digest)


def _parse_list(text: str, name: str) -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    rows = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if name == "smiles":
        rows = [(number, line.split()[0]) for number, line in rows]
    if rows and rows[0][1].casefold() == name:  # some programs write a header all the same
        rows = rows[1:]
    return {name: tuple(cell for _, cell in rows)}, tuple(number for number, _ in rows)


def _parse_csv(text: str, file: str) -> tuple[dict[str, tuple[str, ...]], tuple[int, ...]]:
    first = text.lstrip().partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            if not header:
                header = [cell.strip() for cell in row]
                continue
            if len(row) != len(header):
                raise ConfigError(f"{file}, line {reader.line_num}: it has {len(row)} cells, the header {len(header)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ConfigError(f"{file}, line {reader.line_num}: {error}") from None
    if len(set(header)) < len(header) or "" in header:
        raise ConfigError(f"{file}: the header {','.join(header)!r:.120} must name each column, and each differently")
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return {name: tuple(map(str.strip, column)) for name, column in zip(header, columns, strict=True)}, tuple(lines)
