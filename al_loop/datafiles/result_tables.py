"""Tables of results: an id or object per row, a column per objective, failures and remarks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from al_loop.datafiles.cells import NumberNotation, failure_text
from al_loop.datafiles.delimited import OBJECT_COLUMNS
from al_loop.datafiles.headings import OWN_COLUMNS, PREDICTED, ColumnMapping, ValueColumn, value_columns
from al_loop.datafiles.object_columns import object_type_in
from al_loop.datafiles.table_files import read_cells
from al_loop.errors import ConfigError
from al_loop.oracles.base import NO_ANSWERS, Failure, FailureKind, Objective, Outcome
from al_loop.system.plain_values import Bound

#: columns that are recognised irrespective of case
_RECOGNISED = frozenset({*OBJECT_COLUMNS, *OWN_COLUMNS})


@dataclass(frozen=True)
class ResultTable:
    """A table of results as text, and the meaning of its columns.

    Args:
        file: the file as the user named it, for messages.
        digest: SHA-256 of the file's decompressed content.
        rows: for each row, its line number in the file and its cells by column.
        notes: assumptions about the columns that the user should check.
        value_columns: the columns of each objective.
        remark_columns: columns that are stored with the values.
        notation: how the table writes numbers.
        unit: what the line numbers count.
        object_columns: the columns that may contain the object of a row, in order of precedence.
    """

    file: str
    digest: str
    rows: tuple[tuple[int, Mapping[str, str]], ...]
    notes: tuple[str, ...]
    value_columns: tuple[ValueColumn, ...]
    remark_columns: tuple[str, ...]
    notation: NumberNotation
    unit: str
    object_columns: tuple[str, ...] = OBJECT_COLUMNS

    def object_in(self, cells: Mapping[str, str]) -> str:
        """Return the object of a row, or '' if the row has none."""
        return next((cells[name] for name in self.object_columns if cells.get(name)), "")

    def outcome(self, cells: Mapping[str, str]) -> Outcome | None:
        """Return the outcome that a row reports, or None if it is still blank.

        Raises:
            ValueError: the row contradicts itself, is incomplete, or contains a cell that is not a number.
        """
        texts = [cells[column.name] for column in self.value_columns]
        info = {name: cells[name] for name in self.remark_columns if cells.get(name)}
        cost = self._number("cost", cells.get("cost", ""))
        failure = failure_text(cells.get("failure", ""))
        if failure is not None:
            if any(texts):
                raise ValueError(
                    f"both a value ({', '.join(texts)}) and a failure ({cells['failure']}); keep one of them"
                )
            is_kind = failure in get_args(FailureKind) and failure not in NO_ANSWERS
            comment = cells.get("comment", "") if is_kind or not failure else failure
            reason = cells.get("reason") or comment or "no reason given"
            kind: FailureKind = failure if is_kind else "permanent"  # type: ignore[assignment]
            return Outcome(failure=Failure(kind, reason), cost=cost, info=info)
        if not any(texts):
            return None
        values, noise, censored = [], [], list[Bound | None]()
        for column, text in zip(self.value_columns, texts, strict=True):
            bound = self.notation.bound(text)
            side, value = (None, self._number(column.name, text)) if bound is None else bound
            if value is None:
                raise ValueError(
                    f"no {column.objective.name}, although the row has other values; fill in all of them or none"
                )
            values.append(value * column.factor)
            noise.append(self._noise(column, cells))
            censored.append(side)
        has_noise = not any(math.isnan(n) for n in noise)
        return Outcome(
            values=tuple(values),
            noise=tuple(noise) if has_noise else None,
            cost=cost,
            info=info,
            censored=tuple(censored) if any(censored) else None,
        )

    def _noise(self, column: ValueColumn, cells: Mapping[str, str]) -> float:
        """Return the standard deviation of a value in the objective's unit, NaN if there is none."""
        std = self._number(column.noise, cells.get(column.noise, "")) if column.noise else None
        if std is not None and std < 0:
            raise ValueError(f"{column.noise}: {std:g} is negative; a standard deviation must be at least 0")
        return math.nan if std is None else std * column.noise_factor

    def _number(self, name: str, text: str) -> float | None:
        if not text:
            return None
        number = self.notation.number(text)
        if number is None:
            fault, remedy = self.notation.fault(text)
            remedy = remedy or (
                "leave it blank if it is not measured yet, or describe the failure in the column 'failure'"
            )
            raise ValueError(f"{name}: {text!r:.80} {fault}; {remedy}")
        return number


def read_results(path: Path, objectives: Sequence[Objective], mapping: ColumnMapping | None = None) -> ResultTable:
    """Read a table of results.

    Args:
        path: a table in any format of ``read_cells``.
        objectives: the objectives of the campaign; each requires a column.
        mapping: the columns that the user named; None: none.

    Raises:
        ConfigError: the file cannot be read, a column is missing or uncertain, or a unit cannot be converted.
    """
    mapping = mapping or ColumnMapping()
    table, digest = read_cells(path)
    file = str(path)
    if not table.header:
        raise ConfigError(f"{file} is empty")
    header = list(table.header)
    chosen = {"object": mapping.object, "id": mapping.id, "failure": mapping.failure}
    for column in chosen.values():
        if column is not None and column not in header:
            raise ConfigError(f"{file}: there is no column {column!r}; its columns are {', '.join(header)}")
    given = {column: name for name, column in chosen.items() if column is not None}
    names = [given.get(name, name.lower() if name.lower() in _RECOGNISED else name) for name in header]
    notes: list[str] = []
    if mapping.object is None and mapping.id is None and not {"id", *OBJECT_COLUMNS} & {*names}:
        columns = list(zip(*table.rows, strict=True))
        structures = [i for i, cells in enumerate(columns) if object_type_in(names[i], cells) == "molecule"]
        if len(structures) == 1:
            notes.append(f"the column {names[structures[0]]!r} is taken for the objects")
            names[structures[0]] = "object"
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise ConfigError(f"{file}: duplicate column {duplicate!r}; rename or remove one of them")
    if not {"id", *OBJECT_COLUMNS} & {*names}:
        raise ConfigError(
            f"{file}: a column 'id' or one of {', '.join(OBJECT_COLUMNS)} is required; its columns are "
            f"{', '.join(header)}"
        )
    values = value_columns(objectives, names, file, notes, mapping)
    not_remarks = {*OBJECT_COLUMNS, *OWN_COLUMNS} - {"comment"}
    not_remarks.update(name for c in values for name in (c.name, c.noise) if name is not None)
    return ResultTable(
        file=file,
        digest=digest,
        rows=tuple(
            (line, dict(zip(names, cells, strict=True))) for line, cells in zip(table.lines, table.rows, strict=True)
        ),
        notes=tuple(notes),
        value_columns=values,
        remark_columns=tuple(n for n in names if n not in not_remarks and not n.startswith(PREDICTED)),
        notation=NumberNotation.of_table(table.delimiter, table.rows),
        unit=table.unit,
        object_columns=("object",) if mapping.object is not None else OBJECT_COLUMNS,
    )
