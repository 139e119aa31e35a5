"""Earlier measurements from files and other runs, as a campaign can learn from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from al_loop.campaign.preparation import CampaignParts
from al_loop.config.initial_data import EarlierData, Replicates
from al_loop.datafiles.headings import ColumnMapping
from al_loop.datafiles.replicates import average, content
from al_loop.datafiles.result_tables import read_results
from al_loop.datafiles.units import conversion_factor
from al_loop.errors import ConfigError, counted
from al_loop.ledger import Answer, Import, Ledger
from al_loop.oracles.base import Objective, Outcome
from al_loop.smiles import canonical_smiles
from al_loop.storage.locate import find_ledger

_MAX_NAMED = 5  # objects or problems in a message


@dataclass(frozen=True)
class EarlierMeasurements:
    """Earlier measurements that a campaign can learn from.

    Args:
        imports: one for each object and fidelity.
        notes: remarks that the user should check: assumptions, what is left out, what contradicts.
    """

    imports: tuple[Import, ...]
    notes: tuple[str, ...]

    @property
    def n_values(self) -> int:
        """The number of measurements that are not failures."""
        return sum(i.answer.outcome.values is not None for i in self.imports)


@dataclass(frozen=True)
class _Row:
    """A measurement in a file.

    Args:
        text: the object, as the file has it.
        outcome: its outcome.
        place: where it is, for messages.
        details: what the file says about the object.
    """

    text: str
    outcome: Outcome
    place: str
    details: Mapping[str, Any] | None = None


def read_earlier_data(parts: CampaignParts, items: Sequence[EarlierData]) -> EarlierMeasurements:
    """Read earlier measurements.

    Args:
        parts: the parts of the campaign that will learn from them.
        items: the files and runs.

    Raises:
        ConfigError: one of them cannot be read or contains something that is not certain, or nothing of them is a
            measurement of objects that the campaign can represent.
    """
    notes: list[str] = []
    names = _Names(parts)
    groups: dict[tuple[str, str], list[_Row]] = {}
    rules: dict[tuple[str, str], Replicates] = {}
    rejected: list[str] = []
    for item in items:
        fidelity = _fidelity(parts, item)
        rows = _rows(item, parts.oracle_objectives, notes)
        accepted = names.of([row.text for row in rows])
        for row, name in zip(rows, accepted, strict=True):
            if name is None:
                rejected.append(f"{row.text:.80} ({row.place})")
                continue
            groups.setdefault((name, fidelity), []).append(row)
            rules.setdefault((name, fidelity), item.replicates)
    now, user = datetime.now(UTC), "imported"
    imports = []
    for (key, group), known in zip(groups.items(), parts.details([name for name, _ in groups]), strict=True):
        outcome = _merged(key[0], group, rules[key], notes)
        own = next((row.details for row in group if row.details), {})
        imports.append(Import(key[0], Answer(0, outcome, user, now, now), key[1], {**known, **own} or None))
    if rejected:
        shown = ", ".join(rejected[:_MAX_NAMED]) + (" ..." if len(rejected) > _MAX_NAMED else "")
        objects = "objects" if len(rejected) > 1 else "object"
        notes.append(f"{len(rejected)} {objects} that this campaign cannot represent left out: {shown}")
    if not imports:
        files = ", ".join(item.file for item in items)
        raise ConfigError(
            "\n".join([f"initial_data: {files}: no measurement that this campaign can learn from", *notes])
        )
    if n := names.n_outside:
        notes.append(
            f"{n} of the objects cannot be proposed by the environment; the models learn from them all the same"
        )
    return EarlierMeasurements(tuple(imports), tuple(notes))


def summary_of(data: EarlierMeasurements) -> str:
    """Return one line about earlier measurements."""
    n_failures = len(data.imports) - data.n_values
    failures = f", {n_failures} of them failures" if n_failures else ""
    return f"earlier measurements of {counted(len(data.imports), 'object')}{failures}"


class _Names:
    """The names of objects in a campaign: canonical, and with features."""

    def __init__(self, parts: CampaignParts) -> None:
        self._parts = parts
        #: the number of accepted objects that the environment cannot propose, as far as it is cheap to know
        self.n_outside = 0

    def of(self, texts: Sequence[str]) -> list[str | None]:
        """Return the name of each object, or None if the campaign cannot represent it."""
        names = {text: self._canonical(text) for text in dict.fromkeys(texts)}
        known = list(dict.fromkeys(name for name in names.values() if name is not None))
        with_features = set(known if self._have_features(known) else (n for n in known if self._have_features([n])))
        listed = self._listed
        if listed is not None:
            self.n_outside += sum(name not in listed for name in with_features)
        else:
            self.n_outside += self._parts.environment.admits(list(with_features)).count(False)
        return [name if (name := names[text]) in with_features else None for text in texts]

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        objects = self._parts.environment.objects
        return None if objects is None else frozenset(objects)

    def _canonical(self, text: str) -> str | None:
        environment = self._parts.environment
        if environment.object_type == "molecule":
            return canonical_smiles(text)
        try:
            return environment.decode(environment.encode([text]))[0]
        except (ValueError, KeyError, IndexError):
            # outside the environment's space; features may take it nevertheless
            return text or None

    def _have_features(self, names: Sequence[str]) -> bool:
        try:
            return not names or bool(self._parts.features(names).isfinite().all())
        except Exception:  # each features rejects objects in its own way
            return False


def _fidelity(parts: CampaignParts, item: EarlierData) -> str:
    names = parts.fidelities.names
    if item.fidelity is None:
        return names[-1]
    if item.fidelity not in names:
        raise ConfigError(f"{item.file}: fidelity: {item.fidelity!r} is not one of {', '.join(names)}")
    return item.fidelity


def _rows(item: EarlierData, objectives: Sequence[Objective], notes: list[str]) -> list[_Row]:
    """Return the measurements of a file or a run."""
    unknown = sorted({*item.values, *item.units, *item.noise} - {o.name for o in objectives})
    if unknown:
        raise ConfigError(
            f"{item.file}: {unknown[0]!r} is not one of the values that the oracle measures: "
            f"{', '.join(o.name for o in objectives)}"
        )
    is_run = "://" in item.file or Path(item.file).expanduser().is_dir() or item.file.endswith(".db")
    return list(_rows_of_run(item, objectives) if is_run else _rows_of_table(item, objectives, notes))


def _rows_of_table(item: EarlierData, objectives: Sequence[Objective], notes: list[str]) -> Iterable[_Row]:
    path = Path(item.file).expanduser()
    noise_columns = {name: column for name, column in item.noise.items() if isinstance(column, str)}
    constant = [n if isinstance(n := item.noise.get(o.name), int | float) else math.nan for o in objectives]
    mapping = ColumnMapping(item.object, item.id, item.values, item.units, noise_columns, item.failure)
    table = read_results(path, objectives, mapping)
    notes += [f"{item.file}: {note}" for note in table.notes]
    problems: list[str] = []
    n_blank = 0
    rows: list[_Row] = []
    for line, cells in table.rows:
        place = f"{item.file}, {table.unit} {line}"
        text = table.object_in(cells)
        try:
            outcome = table.outcome(cells)
            if not text:
                raise ValueError("the object is missing")
        except ValueError as error:
            problems.append(f"{place}: {error}")
            continue
        if outcome is None:
            n_blank += 1
            continue
        if outcome.values is not None and outcome.noise is None and not any(map(math.isnan, constant)):
            outcome = replace(outcome, noise=tuple(constant))
        info = {**outcome.info, "file": path.name, "file_sha256": table.digest}
        details = {"id": cells["id"]} if cells.get("id") else None
        rows.append(_Row(text, replace(outcome, info=info), place, details))
    if problems:
        n_others = len(problems) - _MAX_NAMED
        others = [f"and {n_others} further problems"] if n_others > 0 else []
        raise ConfigError("\n".join([*problems[:_MAX_NAMED], *others]))
    if n_blank:
        notes.append(f"{item.file}: {counted(n_blank, 'row')} without a value left out")
    return rows


def _rows_of_run(item: EarlierData, objectives: Sequence[Objective]) -> Iterable[_Row]:
    with Ledger(find_ledger(item.file), read_only=True) as ledger:
        campaign = ledger.campaign()
        measured = () if campaign is None else campaign.objectives
        observations = ledger.observations()
    positions, factors = [], []
    for objective in objectives:
        name = item.values.get(objective.name, objective.name)
        position = next((i for i, o in enumerate(measured) if o.name == name), None)
        if position is None:
            raise ConfigError(
                f"{item.file}: this run does not measure {name!r}; it measures "
                f"{', '.join(o.name for o in measured) or 'nothing yet'}"
            )
        unit = item.units.get(objective.name, measured[position].unit)
        factor = 1.0 if unit == objective.unit else conversion_factor(unit, objective.unit)
        if factor is None:
            raise ConfigError(f"{item.file}: the {unit!r} of {name} cannot be converted to {objective.unit!r}")
        positions.append(position)
        factors.append(factor)

    def chosen(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(values[i] * factor for i, factor in zip(positions, factors, strict=True))

    for number, o in enumerate(observations, 1):
        info = {"file": item.file, "round": o.round}
        if o.values is None:
            assert o.failure is not None
            outcome = replace(Outcome.failed(o.failure, f"failed in {item.file}"), info=info)
        else:
            censored = None if o.censored is None else tuple(o.censored[i] for i in positions)
            noise = None if o.noise is None else chosen(o.noise)
            outcome = Outcome(values=chosen(o.values), noise=noise, info=info, censored=censored)
        yield _Row(o.object, outcome, f"{item.file}, candidate {number}")


def _merged(name: str, rows: Sequence[_Row], rule: Replicates, notes: list[str]) -> Outcome:
    """Return the outcome of an object from all its rows."""
    outcomes = [row.outcome for row in rows]
    if len({content(o) for o in outcomes}) == 1:
        return outcomes[0]
    places = "; ".join(row.place for row in rows[:_MAX_NAMED])
    if rule == "refuse":
        raise ConfigError(f"{name:.80} has several values ({places}); keep one, or set replicates: average")
    measured = [o for o in outcomes if o.values is not None]
    if measured and len(measured) < len(outcomes):
        notes.append(f"{name:.80} has both values and failures ({places}); the failures are left out")
    choices: dict[Replicates, Callable[[], Outcome]] = {
        "average": lambda: average(measured) if len({content(o) for o in measured}) > 1 else measured[0],
        "first": lambda: measured[0],
        "last": lambda: measured[-1],
    }
    try:
        return choices[rule]() if measured else outcomes[0]
    except ValueError as error:  # several bounds, and no value
        raise ConfigError(f"{name:.80} ({places}): {error}") from None
