"""Tables as the content of files: CSV, TSV, JSON lines, Excel, Parquet and SDF."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from al_loop.errors import ConfigError
from al_loop.system.spreadsheet_cells import inert_cell

#: suffix of a file -> format
SUFFIXES: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".xlsx": "xlsx",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".sdf": "sdf",
}
#: characters that Excel's files cannot contain
_NOT_IN_EXCEL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_MAX_EXCEL_ROWS, _MAX_EXCEL_CHARS = 1_048_575, 32_767


def format_of(path: str | Path | None, format: str | None, formats: Sequence[str]) -> str:
    """Return the format of an output file.

    Args:
        path: the file; None or ``-``: no file.
        format: the format that the user chose; None: by the suffix, csv without one.
        formats: the formats that are possible.

    Raises:
        ConfigError: the suffix stands for no possible format, or for another one than was chosen.
    """
    suffix = "" if path is None or str(path) == "-" else Path(path).suffix.casefold()
    by_suffix = SUFFIXES.get(suffix)
    possible = ", ".join(s for s, name in SUFFIXES.items() if name in formats)
    if suffix and by_suffix not in formats and format is None:
        raise ConfigError(f"{path}: files with the extension {suffix} cannot be written; choose one of {possible}")
    chosen = format or by_suffix or "csv"
    if by_suffix is not None and by_suffix != chosen:
        raise ConfigError(f"{path} would contain {chosen} under the extension {suffix}; change one of them")
    return chosen


def encode_rows(header: Sequence[str], rows: Sequence[Sequence[Any]], format: str) -> bytes:
    """Return a table as the content of a file.

    Args:
        header: the names of the columns.
        rows: the cells; None and NaN are missing values, times are written in ISO 8601.
        format: csv, tsv, jsonl, xlsx or sdf.

    Raises:
        ConfigError: the table does not fit the format.
    """
    if format == "xlsx":
        return _excel(header, rows)
    if format == "sdf":
        return _sdf(header, rows)
    if format == "jsonl":
        lines = [json.dumps(dict(zip(header, map(_plain, row), strict=True)), ensure_ascii=False) for row in rows]
        return "".join(f"{line}\n" for line in lines).encode()
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t" if format == "tsv" else ",", lineterminator="\n")
    writer.writerows([list(map(inert_cell, header)), *([_inert(cell) for cell in row] for row in rows)])
    return text.getvalue().encode()


def _plain(cell: Any) -> Any:
    """Return a cell as text, a number, a truth value or None."""
    if hasattr(cell, "item"):  # a number of numpy
        cell = cell.item()
    if isinstance(cell, datetime):
        return None if cell != cell else cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return cell if isinstance(cell, int | float | str) else None if type(cell).__name__ == "NAType" else str(cell)


def _text(cell: Any) -> str:
    plain = _plain(cell)
    return "" if plain is None else repr(plain) if isinstance(plain, float) else str(plain)


def _inert(cell: Any) -> str:
    return inert_cell(_text(cell)) if isinstance(cell, str) else _text(cell)


def _excel(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    if len(rows) > _MAX_EXCEL_ROWS:
        raise ConfigError(f"the table has {len(rows)} rows, and an Excel file at most {_MAX_EXCEL_ROWS}; write CSV")
    book = Workbook(write_only=True)
    sheet = book.create_sheet("al-loop")

    def cell(value: Any) -> Any:
        plain = _plain(value)
        if not isinstance(plain, str):
            return plain
        if len(plain) > _MAX_EXCEL_CHARS:
            raise ConfigError(f"a cell has {len(plain)} characters, and in an Excel file at most {_MAX_EXCEL_CHARS}")
        excel_cell = WriteOnlyCell(sheet, _NOT_IN_EXCEL.sub(" ", plain))
        excel_cell.data_type = "s"  # never a formula
        return excel_cell

    for row in (header, *rows):
        sheet.append([cell(value) for value in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _sdf(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdDepictor import Compute2DCoords

    column = next((i for i, name in enumerate(header) if name in ("object", "smiles")), None)
    if column is None:
        raise ConfigError("this table has no molecules, so it cannot be written as SDF; write CSV")
    text = io.StringIO()
    with Chem.SDWriter(text) as writer, rdBase.BlockLogs():
        for row in rows:
            molecule = Chem.MolFromSmiles(str(row[column]))
            if molecule is None:
                raise ConfigError(f"{row[column]!r:.80} is not a molecule, so it cannot be written as SDF; write CSV")
            Compute2DCoords(molecule)
            for name, cell in zip(header, row, strict=True):
                value = " ".join(_text(cell).split())
                if value:
                    molecule.SetProp(" ".join(str(name).split()).replace("<", "(").replace(">", ")"), value)
            writer.write(molecule)
    return text.getvalue().encode()
