"""Tables of numbers alone, with or without a line of headings, and arrays of NumPy."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from al_loop.datafiles.cells import NO_VALUE, NumberNotation, is_number_like
from al_loop.datafiles.delimited import TableCells, regular_table
from al_loop.datafiles.table_files import parse_cells
from al_loop.datafiles.text_files import read_content
from al_loop.errors import ConfigError, counted

#: suffixes of text whose cells are separated by tabs, semicolons, commas or blanks, in this order of precedence
_TEXT_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".dat", "")
_DELIMITERS = "\t;,"
#: kinds of arrays: booleans, integers, floats, texts
_ARRAY_KINDS = "biufU"


def read_numbers(path: str | Path) -> list[list[float]]:
    """Return the rows of a table of numbers; blank lines, and lines that begin with ``#``, are skipped.

    A first line without any number is a line of headings. Text may be compressed, and may have decimal commas beside
    semicolons or tabs.

    Args:
        path: delimited text (``.csv``, ``.tsv``, ``.txt``), ``.xlsx`` or ``.parquet``.

    Raises:
        ConfigError: the file cannot be read, has no row, or has a row that is not one of as many numbers as the first.
    """
    file = read_content(Path(path))
    table = _split(file.text(), file.name) if file.suffix in _TEXT_SUFFIXES else parse_cells(file)
    if not table.rows:
        raise ConfigError(f"{path} contains no row of numbers")
    notation = NumberNotation.of_table(table.delimiter, table.rows)
    return [
        [_number(cell, notation, f"{path}, {table.unit} {line}") for cell in row]
        for row, line in zip(table.rows, table.lines, strict=True)
    ]


def read_array(path: str | Path) -> np.ndarray[Any, Any]:
    """Return the array of numbers or texts in a ``.npy`` file.

    Args:
        path: the file.

    Raises:
        ConfigError: the file cannot be read, or contains something else.
    """
    try:
        array: Any = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise ConfigError(
            f"cannot read {path}: it is not an array of numbers or texts that numpy.save wrote, or is incomplete"
        ) from None
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{path} contains several arrays (.npz); save one of them with numpy.save")
    if array.dtype.kind not in _ARRAY_KINDS:
        raise ConfigError(f"{path}: expected an array of real numbers or of texts, got one of type {array.dtype}")
    return array


def _split(text: str, file: str) -> TableCells:
    """Return the cells of text, under headings, which are numbers from 1 if the text has none."""
    numbered = [
        (number, line.strip("\r\n")) for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]  # fmt: skip
    if not numbered:
        return TableCells((), (), ())
    delimiter = next((mark for mark in _DELIMITERS if mark in numbered[0][1]), "")
    try:
        rows = [_cells(line, delimiter) for _, line in numbered]
    except csv.Error as error:
        raise ConfigError(f"{file}: {error}") from None
    lines = [number for number, _ in numbered]
    if not any(map(_is_value, rows[0])):
        return regular_table(rows, lines, file, delimiter)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(rows[0]):
            raise ConfigError(
                f"{file}, line {line}: {counted(len(row), 'cell')}, but line {lines[0]} has {len(rows[0])}; correct "
                "the row"
            )
    return TableCells(tuple(map(str, range(1, len(rows[0]) + 1))), tuple(rows), tuple(lines), delimiter)


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    """Return the cells of a line, separated by blanks if there is no delimiter."""
    if not delimiter:
        return tuple(line.split())
    return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True)))


def _is_value(cell: str) -> bool:
    """Return whether a cell is meant as a number or as a missing one, so that it is not a heading."""
    word = cell.casefold().lstrip("+-")
    return is_number_like(cell) or (bool(word) and word in NO_VALUE | {"inf", "infinity"})


def _number(cell: str, notation: NumberNotation, where: str) -> float:
    """Return the number in a cell.

    Raises:
        ConfigError: there is none.
    """
    number = notation.number(cell)
    if number is not None:
        return number
    fault, remedy = notation.fault(cell)
    if cell.casefold() in NO_VALUE:
        fault, remedy = "is no value", "fill the gap, or remove the row"
    raise ConfigError(
        f"{where}: {cell!r:.60} {fault}; {remedy or 'expected nothing but finite numbers, under one line of headings'}"
    )
