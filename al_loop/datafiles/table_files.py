"""Tables in files of all formats: delimited text, lists of objects, Excel, Parquet and SDF."""

from __future__ import annotations

from pathlib import Path

from al_loop.datafiles.delimited import TableCells, parse_delimited
from al_loop.datafiles.excel import parse_excel
from al_loop.datafiles.lists import SMILES_SUFFIXES, parse_list
from al_loop.datafiles.parquet import parse_parquet
from al_loop.datafiles.sdf import parse_sdf
from al_loop.datafiles.text_files import FileContent, read_content
from al_loop.errors import ConfigError

_EXCEL = (".xlsx", ".xlsm")
_PARQUET = (".parquet", ".pq")
#: suffixes of SDF files
_SDF = (".sdf", ".sd", ".mol")
#: suffixes of files that are tables
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", *_EXCEL, *_PARQUET, *_SDF)
#: suffixes of formats that are not supported -> what to do
_OTHER_FORMATS = {
    ".xls": "save it as .xlsx or as 'CSV UTF-8'",
    ".xlsb": "save it as .xlsx or as 'CSV UTF-8'",
    ".ods": "save it as .xlsx or as CSV",
    ".numbers": "export it as .xlsx or as CSV",
    ".json": "save it as CSV or Parquet",
    ".jsonl": "save it as CSV or Parquet",
    ".pkl": "save it as CSV or Parquet",
    ".feather": "save it as CSV or Parquet",
    ".zip": "unpack it",
    ".pdf": "save its table as CSV",
    ".docx": "save its table as CSV",
}


def read_cells(path: Path, name: str | None = None) -> tuple[TableCells, str]:
    """Read a table of any format.

    Args:
        path: the file.
        name: name of the file in messages; None: its path.

    Returns:
        The table, and the SHA-256 of the file's decompressed content.

    Raises:
        ConfigError: the file cannot be read, or is not a valid table; the message gives the line.
    """
    file = read_content(path, name)
    return parse_cells(file), file.digest


def parse_cells(file: FileContent) -> TableCells:
    """Parse the content of a file by its suffix.

    Raises:
        ConfigError: it is not a valid table.
    """
    if file.suffix in _OTHER_FORMATS:
        raise ConfigError(
            f"cannot read {file.name}: {file.suffix} files are not supported; {_OTHER_FORMATS[file.suffix]}"
        )
    if file.suffix in _EXCEL:
        return parse_excel(file.content, file.name)
    if file.suffix in _PARQUET:
        return parse_parquet(file.content, file.name)
    if file.content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ConfigError(
            f"cannot read {file.name}: it is not UTF-8 text but perhaps a spreadsheet; name it .xlsx, or save it as "
            "'CSV UTF-8'"
        )
    if file.content.startswith(b"PAR1"):
        raise ConfigError(f"cannot read {file.name}: it is not text but a Parquet file; name it .parquet")
    if file.suffix in _SDF:
        return parse_sdf(file.text(), file.name)
    is_smiles = file.suffix in SMILES_SUFFIXES
    if is_smiles or (file.suffix == ".txt" and not _is_table(file.text())):
        objects, lines = parse_list(file.text(), is_smiles=is_smiles)
        return TableCells(("smiles" if is_smiles else "object",), tuple((name,) for name in objects), lines)
    return parse_delimited(file.text(), file.name)


def _is_table(text: str) -> bool:
    """Return whether a text with the suffix of a list is a table with tabs, as Excel writes it."""
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) > 1 and "\t" in lines[0] and all(line.count("\t") == lines[0].count("\t") for line in lines)
