"""Headings of tables of results: how ``ask`` writes them, and which of a table's columns belong to each objective."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from al_loop.datafiles.delimited import OBJECT_COLUMNS
from al_loop.datafiles.units import conversion_factor
from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective

#: columns that ``ask`` writes or that have a defined meaning, irrespective of case
OWN_COLUMNS = ("id", "round", "predicted_mean", "predicted_std", "failure", "reason", "cost", "comment")
#: how the columns of predictions begin that ``ask`` writes for several objectives
PREDICTED = ("predicted_mean_", "predicted_std_")
_TAKEN = frozenset({*OBJECT_COLUMNS, *OWN_COLUMNS})
#: what the heading of an objective's standard deviation has behind the objective's name
_NOISE = ("_std", " std", "_sd", " sd", " ±")


@dataclass(frozen=True)
class ValueColumn:
    """The columns of one objective.

    Args:
        objective: the objective.
        name: the column of the values.
        factor: the conversion factor from the column's unit to the objective's.
        noise: the column of the standard deviations, or None.
        noise_factor: the conversion factor of the standard deviations.
    """

    objective: Objective
    name: str
    factor: float
    noise: str | None
    noise_factor: float


@dataclass(frozen=True)
class ColumnMapping:
    """The columns that a user names because they are not recognised by their headings.

    Args:
        object: the column of objects.
        id: the column of the objects' names or numbers.
        values: objective -> column.
        units: objective -> unit of its column, if the heading does not give it.
        noise: objective -> column of the standard deviations.
        failure: the column of failures.
    """

    object: str | None = None
    id: str | None = None
    values: Mapping[str, str] | None = None
    units: Mapping[str, str] | None = None
    noise: Mapping[str, str] | None = None
    failure: str | None = None


def column_heading(objective: Objective) -> str:
    """Return the heading of an objective's column, such as ``ic50 (nM)``.

    An objective with the name of another column, such as ``cost``, has the heading ``value_cost``.
    """
    name = f"value_{objective.name}" if objective.name.casefold().strip() in _TAKEN else objective.name
    return _plain(f"{name} ({objective.unit})" if objective.unit else name)


def detail_headings(details: Sequence[Mapping[str, object] | None], objectives: Sequence[Objective]) -> dict[str, str]:
    """Return the heading of each column of a library in the table that ``ask`` writes.

    A column that could be mistaken for another one of that table, such as ``ID``, has the heading ``library_ID``.

    Args:
        details: what the library says about each object.
        objectives: the campaign's objectives.
    """
    taken = tuple(o.name.casefold() for o in objectives)
    headings = {}
    for name in dict.fromkeys(name for entry in details if entry for name in entry):
        plain = _plain(name).casefold()
        is_taken = plain in _TAKEN or plain == "value" or plain.startswith((*taken, *PREDICTED, "value ("))
        headings[name] = f"library_{name}" if is_taken else name
    return headings


def value_columns(
    objectives: Sequence[Objective], names: Sequence[str], file: str, notes: list[str], mapping: ColumnMapping
) -> tuple[ValueColumn, ...]:
    """Return the columns of each objective.

    A heading is recognised if it is what ``ask`` writes; otherwise, irrespective of case, if it is the objective's name
    with or without a unit in brackets; a single objective's column may be called ``value``.

    Args:
        objectives: the objectives; each requires a column.
        names: all columns of the table.
        file: the file, for messages.
        notes: receives assumptions about the units.
        mapping: the columns that the user named.

    Raises:
        ConfigError: the column of an objective is missing or uncertain, or its unit cannot be converted.
    """
    named = {**(mapping.values or {}), **(mapping.noise or {})}
    for column in named.values():
        if column not in names:
            raise ConfigError(
                f"{file}: there is no column {column!r}; its columns are {', '.join(filter(None, names))}"
            )
    free = [name for name in names if name.casefold() not in _TAKEN or name in named.values()]
    columns = {o: mapping.values[o.name] for o in objectives if mapping.values and o.name in mapping.values}
    # from the strictest rule to the most lenient one, so that no objective takes the column of another
    rules: list[Callable[[Objective, str], bool]] = [
        lambda o, name: _plain(name) == _plain(column_heading(o)),
        lambda o, name: _plain(name).casefold() == _plain(column_heading(o)).casefold(),
        lambda o, name: _unit_behind(o.name, name) == "",
        lambda o, name: _unit_behind(o.name, name) is not None,
    ]
    if len(objectives) == 1:
        rules.append(lambda o, name: _unit_behind("value", name) is not None)
    for rule in rules:
        for objective in objectives:
            if objective in columns:
                continue
            matches = [name for name in free if name not in columns.values() and rule(objective, name)]
            if len(matches) > 1:
                raise ConfigError(
                    f"{file}: the columns {', '.join(map(repr, matches))} may all be {objective.name!r}; keep the one "
                    f"to import, under the heading {column_heading(objective)!r}"
                )
            if matches:
                columns[objective] = matches[0]
    missing = next((o for o in objectives if o not in columns), None)
    if missing is not None:
        raise ConfigError(
            f"{file}: there is no column {column_heading(missing)!r}; its columns are {', '.join(filter(None, names))}"
        )
    others = [name for name in free if name not in columns.values()]
    return tuple(_value_column(o, columns[o], others, file, notes, mapping) for o in objectives)


def _value_column(
    objective: Objective, name: str, others: Sequence[str], file: str, notes: list[str], mapping: ColumnMapping
) -> ValueColumn:
    unit = (mapping.units or {}).get(objective.name) or _unit_of(objective, name)
    factor = _factor(objective, name, unit, file, notes)
    noise, noise_factor = (mapping.noise or {}).get(objective.name), factor
    if noise is None:
        prefixes = [base + suffix for base in (objective.name, column_heading(objective)) for suffix in _NOISE]
        for other in others:
            unit_of_noise = next((u for u in (_unit_behind(p, other) for p in prefixes) if u is not None), None)
            if unit_of_noise is not None:
                noise = other
                if unit_of_noise:
                    noise_factor = _factor(objective, other, unit_of_noise, file, notes)
                break
    return ValueColumn(objective, name, factor, noise, noise_factor)


def _unit_of(objective: Objective, name: str) -> str:
    if _plain(name).casefold() == _plain(column_heading(objective)).casefold():
        return objective.unit
    bases = (objective.name, "value")
    return next((unit for unit in (_unit_behind(base, name) for base in bases) if unit), "")


def _factor(objective: Objective, name: str, unit: str, file: str, notes: list[str]) -> float:
    """Return the factor that converts a column to the objective's unit."""
    if not unit:
        if objective.unit:
            notes.append(f"the column {name!r} has no unit; its values are assumed to be in {objective.unit}")
        return 1.0
    if unit == objective.unit:
        return 1.0
    factor = conversion_factor(unit, objective.unit)
    if factor is None:
        target = f"the {objective.unit} of this run" if objective.unit else "the dimensionless values of this run"
        raise ConfigError(
            f"{file}: the column {name!r} is in {unit}, which cannot be converted to {target}; convert the "
            f"numbers and name the column {column_heading(objective)!r}"
        )
    notes.append(f"the column {name!r} is converted to {objective.unit} (times {factor:g})")
    return factor


def _unit_behind(base: str, heading: str) -> str | None:
    """Return the unit in brackets behind a name in a heading, '' if there is none, or None for another heading."""
    base, heading = _plain(base), _plain(heading)
    if heading[: len(base)].casefold() != base.casefold():
        return None
    rest = heading[len(base) :].strip()
    if not rest:
        return ""
    match = re.fullmatch(r"[(\[](.*)[)\]]", rest)
    return None if match is None else match[1].strip()


def _plain(text: str) -> str:
    """Return a heading as it is after a spreadsheet: composed characters, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())
