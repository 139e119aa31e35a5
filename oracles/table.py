"""Answers that are known already: measured tables, as the truth of a benchmark or of a campaign on a finite pool."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from al_loop.datafiles.object_tables import ObjectType, is_shipped, object_type_of, read_table
from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.conformer import require_rdkit
from al_loop.oracles.base import Goal, Objective, Oracle, Outcome
from al_loop.smiles import canonical_smiles


@dataclass(frozen=True)
class Column:
    """A column of values: its name, their unit, the direction that is wanted, and the column of their noise.

    noise: a column with the standard deviation of each value, in its unit.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    name: str
    unit: str = ""
    goal: Goal = "maximise"
    noise: str | None = None


#: what the shipped tables hold, see oracles/data/README.md
_SHIPPED: Mapping[str, Column] = {
    "tfbind8": Column("score"),
    "enamine10k": Column("docking_score", "kcal/mol", "minimise"),
}


class MeasuredTable(Oracle):
    """A table of measured values: a CSV of your own, or the shipped ``tfbind8`` or ``enamine10k``.

    ``tfbind8``: binding of the transcription factor SIX6 to all 65,536 DNA words of 8 letters (Barrera et al. 2016),
    ``score``, E-score rescaled to [0, 1], no unit, higher is better. ``enamine10k``: docking scores of 10,446 Enamine
    molecules (Graff et al. 2021), ``docking_score`` in kcal/mol, lower is better.

    Molecules are found by their canonical SMILES, however they are written; anything else by its text. An object that
    is not in the table is an ``invalid`` failure, one whose cell is blank (or NA, NaN, None, null) a ``permanent`` one.

    An object that stands in several rows was measured as often: its value is their mean, and its noise the standard
    error of that, from the scatter of all replicates in the table pooled (or from ``noise`` where it is given).
    ``n_measurements`` in ``info`` says how many. Where an object was measured once and there is no column of noise, the
    noise is not known.

    Args:
        file: a path (``.csv``, ``.tsv``, perhaps ``.gz``, ``.xz`` or ``.bz2``), from the folder in which the campaign
            is started, or the name of a shipped table.
        object: the column of objects; left out: smiles, sequence or object, else the first.
        object_type: how objects are compared; left out: molecule where the column's name speaks of SMILES, sequence
            where it speaks of sequences, else other.
        values: the columns of values, each a name or ``{name: ..., unit: ..., goal: maximise | minimise, noise: ...}``;
            left out: ``value`` where there is such a column, else every other column of numbers.
        is_canonical: the SMILES are RDKit's canonical ones already, which saves a quarter of a millisecond each.
        call_size: objects looked up in one call.
    """

    kind = "table"

    def __init__(
        self,
        file: str,
        object: str | None = None,
        object_type: ObjectType | None = None,
        values: Sequence[Column | str] | None = None,
        is_canonical: bool = False,
        call_size: int = 256,
    ) -> None:
        if call_size < 1:
            raise ConfigError(f"call_size: {call_size} is below 1")
        self._table = table = read_table(file)
        self._object = table.object_column(object)
        self._type: ObjectType = object_type or object_type_of(self._object)
        self._is_canonical = is_canonical
        known = {_SHIPPED[file].name: _SHIPPED[file]} if is_shipped(file) and file in _SHIPPED else {}
        if values is None:
            others = [c for c in table.columns if c != self._object]
            values = ["value"] if "value" in others else [c for c in others if table.is_numeric(c)]
            if not values:
                raise ConfigError(f"{file}: it has no column of numbers beside {self._object!r}")
        self._columns = [known.get(c, Column(c)) if isinstance(c, str) else c for c in values]
        names = [c.name for c in self._columns]
        if not names or len(set(names)) < len(names) or self._object in names:
            raise ConfigError(
                f"values: {', '.join(names) or 'none'}: name one or more different columns, and not {self._object!r}, "
                "that of the objects"
            )
        self._values = [table.numbers(c.name) for c in self._columns]
        noise = [c.noise for c in self._columns if c.noise is not None]
        if noise and len(noise) < len(names):
            raise ConfigError("values: name a column of noise for each of them, or for none")
        self._noise = [table.numbers(name) for name in noise]
        for name, column in zip(noise, self._noise, strict=True):
            below = next((line for line, s in zip(table.lines, column, strict=True) if s < 0), None)
            if below is not None:
                raise ConfigError(f"{file}, line {below}: the noise in {name!r} is below 0")
        self.objectives = tuple(Objective(c.name, c.unit, c.goal) for c in self._columns)
        self.object_type = None if self._type == "other" else self._type
        self.call_size = call_size
        self.version = table.digest[:12]

    def check(self) -> None:
        """Raises ConfigError where an object is missing or no molecule, with its line, or where RDKit is missing."""
        if self._type == "molecule":
            require_rdkit()
        assert self._rows

    @cached_property
    def _rows(self) -> dict[str, tuple[int, ...]]:
        """The rows of each object."""
        rows: dict[str, tuple[int, ...]] = {}
        for i, name in enumerate(self._table.objects(self._object, self._type, self._is_canonical)):
            rows[name] = (*rows[name], i) if name in rows else (i,)
        return rows

    @cached_property
    def _scatter(self) -> list[float | None]:
        """The standard deviation of one measurement of each objective, pooled over replicates; None: there are none."""
        repeated = [rows for rows in self._rows.values() if len(rows) > 1]
        found = []
        for column in self._values:
            squares, freedom = 0.0, 0
            for rows in repeated:
                values = [column[i] for i in rows if not math.isnan(column[i])]
                mean = math.fsum(values) / len(values) if values else 0.0
                squares += math.fsum((v - mean) ** 2 for v in values)
                freedom += max(len(values) - 1, 0)
            found.append(math.sqrt(squares / freedom) if freedom else None)
        return found

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yields what the table says of each object."""
        for name in objects:
            yield self._look_up(name)

    def _look_up(self, name: str) -> Outcome:
        rows = self._rows.get(name)
        if rows is None and self._type == "molecule":
            canonical = canonical_smiles(name)
            if canonical is None:
                return Outcome.failed("invalid", f"not a valid SMILES: {name!r:.120}")
            rows = self._rows.get(canonical)
        if rows is None:
            return Outcome.failed("invalid", f"the table {self._table.file} has no object {name!r:.120}")
        measured = [[i for i in rows if not math.isnan(column[i])] for column in self._values]
        for objective, found in zip(self.objectives, measured, strict=True):
            if not found:
                line = self._table.lines[rows[0]]
                reason = f"the table {self._table.file} has no {objective.name} for it (line {line})"
                return Outcome.failed("permanent", reason)
        values = tuple(
            math.fsum(column[i] for i in found) / len(found)
            for column, found in zip(self._values, measured, strict=True)
        )
        info = {"n_measurements": len(rows)} if len(rows) > 1 else {}
        return Outcome(values=values, noise=self._noise_of(measured), info=info)

    def _noise_of(self, measured: Sequence[Sequence[int]]) -> tuple[float, ...] | None:
        """The standard error of each value, from its rows; None where it is not known of all."""
        noise = []
        for k, rows in enumerate(measured):
            if self._noise:
                error = math.sqrt(math.fsum(self._noise[k][i] ** 2 for i in rows)) / len(rows)
                if math.isnan(error):
                    return None
            else:
                scatter = self._scatter[k]
                if len(rows) < 2 or scatter is None:
                    return None
                error = scatter / math.sqrt(len(rows))
            noise.append(error)
        return tuple(noise)
