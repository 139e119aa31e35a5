"""Measured tables as an oracle, for benchmarks and for campaigns on a finite pool."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from al_loop.datafiles.object_columns import ObjectType
from al_loop.datafiles.object_tables import is_shipped, read_table
from al_loop.errors import ConfigError
from al_loop.oracles._chemistry.conformer import require_rdkit
from al_loop.oracles.base import Goal, Objective, Oracle, Outcome
from al_loop.smiles import canonical_smiles
from al_loop.system.path_texts import PathOrName


@dataclass(frozen=True)
class Column:
    """A column of values.

    Args:
        name: name of the column and of the objective.
        unit: unit of the values.
        goal: the direction in which the values are optimised.
        noise: name of a column with the standard deviation of each value, in its unit.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    name: str
    unit: str = ""
    goal: Goal = "maximise"
    noise: str | None = None


#: columns of values of the shipped tables, see oracles/data/README.md
_SHIPPED: Mapping[str, Column] = {
    "tfbind8": Column("score"),
    "enamine10k": Column("docking_score", "kcal/mol", "minimise"),
}


class MeasuredTable(Oracle):
    """A table of measured values: a CSV of your own, or the shipped ``tfbind8`` or ``enamine10k``.

    ``tfbind8``: binding of the transcription factor SIX6 to all 65,536 DNA words of 8 letters (Barrera et al. 2016),
    ``score``, E-score rescaled to [0, 1], no unit, higher is better. ``enamine10k``: docking scores of 10,446 Enamine
    molecules (Graff et al. 2021), ``docking_score`` in kcal/mol, lower is better.

    Molecules are looked up by their canonical SMILES, so their spelling does not matter; all other objects by their
    text. An object that is not in the table is an ``invalid`` failure; one whose cell is blank (or NA, NaN, None, null)
    is a ``permanent`` failure.

    An object in several rows was measured several times: its value is the mean, and its noise is the standard error of
    the mean, from the scatter of all replicates in the table pooled (or from the column ``noise``). ``n_measurements``
    in ``info`` is the number of rows. If an object was measured once and there is no column of noise, its noise is
    unknown.

    Args:
        file: a path (``.csv`` or ``.tsv``, optionally ``.gz``, ``.xz`` or ``.bz2``) relative to the folder in which the
            campaign is started, or the name of a shipped table.
        object: the column of objects; by default smiles, sequence or object, otherwise the first column.
        object_type: how objects are compared; by default molecule or sequence if the name of the object column mentions
            SMILES or sequences, otherwise other.
        values: the columns of values, each a name or ``{name: ..., unit: ..., goal: maximise | minimise, noise: ...}``;
            by default ``value`` if there is such a column, otherwise every other column of numbers.
        is_canonical: whether the SMILES are RDKit's canonical ones already, which saves a quarter of a millisecond
            each.
        call_size: maximum number of objects looked up in one call.
    """

    kind = "table"

    def __init__(
        self,
        file: PathOrName,
        object: str | None = None,
        object_type: ObjectType | None = None,
        values: Sequence[Column | str] | None = None,
        is_canonical: bool = False,
        call_size: int = 256,
    ) -> None:
        if call_size < 1:
            raise ConfigError(f"call_size: {call_size}, expected at least 1")
        self._table = table = read_table(file)
        self._object = table.object_column(object, "object")
        self._type: ObjectType = object_type or table.object_type(self._object)
        self._is_canonical = is_canonical
        shipped = {_SHIPPED[file].name: _SHIPPED[file]} if is_shipped(file) and file in _SHIPPED else {}
        if values is None:
            others = [c for c in table.columns if c != self._object]
            values = ["value"] if "value" in others else [c for c in others if table.is_numeric(c)]
            if not values:
                raise ConfigError(f"{file}: there is no column of numbers beside {self._object!r}; name one in values")
        self._columns = [shipped.get(c, Column(c)) if isinstance(c, str) else c for c in values]
        names = [c.name for c in self._columns]
        if not names or len(set(names)) < len(names) or self._object in names:
            raise ConfigError(
                f"values: {', '.join(names) or 'none'}; expected one or more distinct columns, without the object "
                f"column {self._object!r}"
            )
        self._values = [table.numbers(c.name) for c in self._columns]
        noise = [c.noise for c in self._columns if c.noise is not None]
        if noise and len(noise) < len(names):
            raise ConfigError("values: only some have a column of noise; name one for each of them, or for none")
        self._noise = [table.numbers(name) for name in noise]
        for name, column in zip(noise, self._noise, strict=True):
            negative = next((line for line, s in zip(table.lines, column, strict=True) if s < 0), None)
            if negative is not None:
                raise ConfigError(f"{file}, line {negative}: the noise in {name!r} is below 0")
        self.objectives = tuple(Objective(c.name, c.unit, c.goal) for c in self._columns)
        self.object_type = None if self._type == "other" else self._type
        self.call_size = call_size
        self.version = table.digest[:12]

    def check(self) -> None:
        """Read all objects, and verify that RDKit is installed if they are molecules.

        Raises:
            ConfigError: an object is missing or not a molecule (the message names its line), or RDKit is missing.
        """
        if self._type == "molecule":
            require_rdkit()
        _ = self._rows  # reads the objects

    @cached_property
    def _rows(self) -> dict[str, tuple[int, ...]]:
        """Return the indices of the rows of each object."""
        rows: dict[str, tuple[int, ...]] = {}
        for i, name in enumerate(self._table.objects(self._object, self._type, self._is_canonical)):
            rows[name] = (*rows[name], i) if name in rows else (i,)
        return rows

    @cached_property
    def _scatter(self) -> list[float | None]:
        """Return the standard deviation of one measurement per objective, pooled over replicates; None without any."""
        repeated = [rows for rows in self._rows.values() if len(rows) > 1]
        deviations: list[float | None] = []
        for column in self._values:
            squares, n_degrees = 0.0, 0
            for rows in repeated:
                values = [column[i] for i in rows if not math.isnan(column[i])]
                mean = math.fsum(values) / len(values) if values else 0.0
                squares += math.fsum((v - mean) ** 2 for v in values)
                n_degrees += max(len(values) - 1, 0)
            deviations.append(math.sqrt(squares / n_degrees) if n_degrees else None)
        return deviations

    def evaluate(self, objects: Sequence[str]) -> Iterator[Outcome]:
        """Yield the values of each object in the table."""
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
            return Outcome.failed("invalid", f"the table {self._table.file} does not contain {name!r:.120}")
        # of each objective, the rows with a value
        measured = [[i for i in rows if not math.isnan(column[i])] for column in self._values]
        for objective, measured_rows in zip(self.objectives, measured, strict=True):
            if not measured_rows:
                line = self._table.lines[rows[0]]
                reason = f"the table {self._table.file} has no {objective.name} for this object (line {line})"
                return Outcome.failed("permanent", reason)
        values = tuple(
            math.fsum(column[i] for i in measured_rows) / len(measured_rows)
            for column, measured_rows in zip(self._values, measured, strict=True)
        )
        info = {"n_measurements": len(rows)} if len(rows) > 1 else {}
        return Outcome(values=values, noise=self._noise_of(measured), info=info)

    def _noise_of(self, measured: Sequence[Sequence[int]]) -> tuple[float, ...] | None:
        """Return the standard error of each value, given its rows; None if that of any is unknown."""
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
