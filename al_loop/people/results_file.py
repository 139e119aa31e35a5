"""The format of a table of results: an id or object per row, a column per objective, failures and remarks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from al_loop.datafiles.delimited import OBJECT_COLUMNS, parse_delimited, parse_number
from al_loop.datafiles.text_files import read_text
from al_loop.errors import ConfigError
from al_loop.oracles.base import Failure, FailureKind, Objective, Outcome
from al_loop.people.units import conversion_factor

#: columns that ``ask`` writes or that have a defined meaning, and are therefore not remarks
_OWN_COLUMNS = ("id", "round", "predicted_mean", "predicted_std", "failure", "reason", "cost")
#: how the columns of predictions begin that ``ask`` writes for several objectives
_PREDICTED = ("predicted_mean_", "predicted_std_")
#: columns that are recognised irrespective of case
_RECOGNISED = frozenset({*OBJECT_COLUMNS, *_OWN_COLUMNS, "comment"})


def column_heading(objective: Objective) -> str:
    """Return the heading of an objective's column, such as ``ic50 (nM)``."""
    return f"{objective.name} ({objective.unit})" if objective.unit else objective.name


@dataclass(frozen=True)
class _ValueColumn:
    """The columns of one objective.

    Args:
        objective: the objective.
        name: the column of the values.
        factor: the conversion factor from the column's unit to the objective's.
        noise: the column of the standard deviations, or None.
    """

    objective: Objective
    name: str
    factor: float
    noise: str | None


@dataclass(frozen=True)
class ResultsFile:
    """A table of results as text, and the meaning of its columns.

    Args:
        rows: for each row, its line number in the file and its cells by column.
        notes: assumptions about the columns that the user should check.
        value_columns: the columns of each objective.
        remark_columns: columns that are stored with the values.
        has_decimal_comma: whether numbers may be written like 12,5.
    """

    rows: tuple[tuple[int, Mapping[str, str]], ...]
    notes: tuple[str, ...]
    value_columns: tuple[_ValueColumn, ...]
    remark_columns: tuple[str, ...]
    has_decimal_comma: bool

    def outcome(self, cells: Mapping[str, str]) -> Outcome | None:
        """Return the outcome that a row reports, or None if it is still blank.

        Raises:
            ValueError: the row contradicts itself, is incomplete, or contains a cell that is not a number.
        """
        texts = [cells[column.name] for column in self.value_columns]
        info = {name: cells[name] for name in self.remark_columns if cells.get(name)}
        cost = self._number("cost", cells.get("cost", ""))
        failure = cells.get("failure", "")
        if failure:
            if any(texts):
                raise ValueError(f"both a value ({', '.join(texts)}) and a failure ({failure}); keep one of them")
            is_kind = failure in get_args(FailureKind)
            reason = cells.get("reason") or (cells.get("comment", "") if is_kind else failure) or "no reason given"
            kind: FailureKind = failure if is_kind else "permanent"  # type: ignore[assignment]
            return Outcome(failure=Failure(kind, reason), cost=cost, info=info)
        if not any(texts):
            return None
        values, noise = [], []
        for column, text in zip(self.value_columns, texts, strict=True):
            value = self._number(column.name, text)
            if value is None:
                raise ValueError(
                    f"no {column.objective.name}, although the row has other values; fill in all of them or none"
                )
            values.append(value * column.factor)
            noise.append(self._noise(column, cells))
        has_noise = not any(math.isnan(n) for n in noise)
        return Outcome(values=tuple(values), noise=tuple(noise) if has_noise else None, cost=cost, info=info)

    def _noise(self, column: _ValueColumn, cells: Mapping[str, str]) -> float:
        """Return the standard deviation of a value in the objective's unit, NaN if there is none."""
        std = self._number(column.noise, cells.get(column.noise, "")) if column.noise else None
        if std is not None and std < 0:
            raise ValueError(f"{column.noise}: {std:g} is negative; a standard deviation must be at least 0")
        return math.nan if std is None else std * column.factor

    def _number(self, name: str, text: str) -> float | None:
        if not text:
            return None
        number = parse_number(text.replace(",", ".") if self.has_decimal_comma and text.count(",") == 1 else text)
        if number is None:
            reason = "a bound, not a measurement" if text[0] in "<>≤≥~" else "not a number"
            raise ValueError(
                f"{name}: {text!r} is {reason}; leave it blank if it is not measured yet, or describe the failure in "
                "the column 'failure'"
            )
        return number


def read_results(path: Path, objectives: Sequence[Objective]) -> ResultsFile:
    """Read a table of results.

    Args:
        path: CSV with a header; tabs, or semicolons with decimal commas, are also accepted.
        objectives: the objectives of the campaign; each requires a column.

    Raises:
        ConfigError: the file cannot be read, a column is missing or occurs twice, or a unit cannot be converted.
    """
    table = parse_delimited(read_text(path).text, str(path), lenient=True)
    if not table.header:
        raise ConfigError(f"{path} is empty")
    names = [name.lower() if name.lower() in _RECOGNISED else name for name in table.header]
    duplicates = sorted({name for name in names if name and names.count(name) > 1})
    if duplicates:
        raise ConfigError(f"{path}: duplicate column {duplicates[0]!r}")
    if "id" not in names and not set(names) & set(OBJECT_COLUMNS):
        raise ConfigError(
            f"{path}: a column 'id' or one of {', '.join(OBJECT_COLUMNS)} is required; its columns are "
            f"{', '.join(filter(None, table.header))}"
        )
    notes: list[str] = []
    value_columns = tuple(_find_column(o, names, path, notes, is_only=len(objectives) == 1) for o in objectives)
    not_remarks = {*(c.name for c in value_columns), *(c.noise for c in value_columns), *OBJECT_COLUMNS, *_OWN_COLUMNS}
    return ResultsFile(
        rows=tuple(
            (line, dict(zip(names, cells, strict=True))) for line, cells in zip(table.lines, table.rows, strict=True)
        ),
        notes=tuple(notes),
        value_columns=value_columns,
        remark_columns=tuple(
            name for name in names if name and name not in not_remarks and not name.startswith(_PREDICTED)
        ),
        has_decimal_comma=table.delimiter != ",",
    )


def _find_column(
    objective: Objective, names: Sequence[str], path: Path, notes: list[str], *, is_only: bool
) -> _ValueColumn:
    """Return the columns of an objective.

    Args:
        objective: the objective.
        names: all columns of the table.
        path: the file, for messages.
        notes: receives assumptions about the unit.
        is_only: whether it is the only objective, so that its column may be called ``value``.
    """
    spellings = (f"{objective.name.lower()}_std", f"{objective.name.lower()} std")
    noise = next((name for name in names if name.lower() in spellings), None)
    for name in names:
        match = re.fullmatch(r"(.*?)\s*(?:[(\[](.*)[)\]])?", name)
        assert match is not None
        title, unit = match.group(1).lower(), match.group(2)
        if title != objective.name.lower() and not (is_only and title == "value"):
            continue
        if unit is None or unit.strip() == objective.unit:
            if unit is None and objective.unit:
                notes.append(f"the column {name!r} has no unit; its values are assumed to be in {objective.unit}")
            return _ValueColumn(objective, name, 1.0, noise)
        factor = conversion_factor(unit.strip(), objective.unit)
        if factor is None:
            target = f"the {objective.unit} of this run" if objective.unit else "the dimensionless values of this run"
            raise ConfigError(
                f"{path}: the column {name!r} is in {unit}, which cannot be converted to {target}; convert the "
                f"numbers and name the column {column_heading(objective)!r}"
            )
        notes.append(f"the column {name!r} is converted to {objective.unit} (times {factor:g})")
        return _ValueColumn(objective, name, factor, noise)
    raise ConfigError(
        f"{path}: there is no column {column_heading(objective)!r}; its columns are {', '.join(filter(None, names))}"
    )
