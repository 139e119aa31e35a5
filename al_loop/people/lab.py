"""Asking people for measurements and taking in what they measured, as tables. Needs neither torch nor ray.

``ask`` hands out pending candidates; ``read_told`` looks at a table of results and says what would happen, row by row;
``commit`` does it. Nothing is committed that was not shown, and all or nothing of it.
"""

from __future__ import annotations

import csv
import getpass
import hashlib
import io
import json
import math
import re
import socket
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from al_loop.errors import ConfigError
from al_loop.ledger import Answer, Candidate, Decision, EvaluationRow, Ledger
from al_loop.oracles.base import Failure, FailureKind, Objective, Outcome
from al_loop.storage.files import write_whole

if TYPE_CHECKING:
    from al_loop.config import CampaignConfig

_OBJECT_COLUMNS = ("object", "smiles", "sequence")
_NOT_FACTS = ("id", "round", "predicted_mean", "predicted_std", "failure", "reason", "cost")
_SURPRISING = 6.0  # predicted standard deviations
_MOST_ID = 2**31 - 1


def me() -> str:
    """Who asks and tells, as the ledger keeps it."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container may have no name for its user
        return socket.gethostname()


# -- the campaign that is asked for ----------------------------------------------------------------------------------


def settings_of(ledger: Ledger) -> CampaignConfig:
    """The config of a ledger's campaign, as it was begun.

    Raises:
        ConfigError: it has not begun.
    """
    from al_loop.config import CampaignConfig

    campaign = ledger.campaign()
    if campaign is None:
        raise ConfigError(f"ledger {ledger.name}: the campaign has not begun; start it with al-loop run")
    return CampaignConfig.model_validate(campaign.config)


def add_folders(folder: Path | None) -> bool:
    """Lets the parts of the user's own that a run names be found.

    Args:
        folder: the run directory; None: it is not known.

    Returns:
        Whether it is on this machine.
    """
    from al_loop.config import add_to_path

    if folder is None:
        return False
    try:
        add_to_path(json.loads((folder / "campaign.json").read_text(encoding="utf-8")).get("folders", ()))
    except (OSError, ValueError):  # the run is elsewhere, and so is its process
        return False
    return True


def of_objects(ledger: Ledger) -> tuple[str, Callable[[str], str | None]]:
    """What a campaign's objects are, and how one is written in the one canonical way (None: it is none)."""
    from al_loop.campaign.building import build_environment

    try:
        object_type = str(build_environment(settings_of(ledger)).object_type)
    except ConfigError:  # an environment of the user's own that is not on this machine
        object_type = "other"
    if object_type != "molecule":
        return object_type, lambda text: text
    from al_loop.smiles import canonical_smiles

    return object_type, canonical_smiles


# -- asking ----------------------------------------------------------------------------------------------------------


def waiting(ledger: Ledger, *, again: bool = False) -> list[Candidate]:
    """Pending candidates that nobody was asked for yet; again: those that somebody was, and that have no answer."""
    asked = {c.id for c in ledger.in_flight()}
    return [c for c in ledger.pending() if (c.id in asked) == again]


def ask(ledger: Ledger, candidates: Sequence[Candidate], column: str, *, again: bool = False) -> str:
    """The table to be filled in, as CSV; it is recorded who asked for what.

    Args:
        ledger: of the campaign.
        candidates: what is asked for.
        column: the name of the column of objects.
        again: it was recorded before.
    """
    campaign = ledger.campaign()
    assert campaign is not None
    if not again:
        ledger.begin_attempts([c.id for c in candidates], f"ask by {me()}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    headings = [header(o) for o in campaign.objectives]
    writer.writerow(["id", column, "round", "predicted_mean", "predicted_std", *headings, "failure", "comment"])
    for c in candidates:
        predicted = ["" if v is None else f"{v:.4g}" for v in (c.predicted_mean, c.predicted_std)]
        writer.writerow([c.id, c.object, c.round, *predicted, *[""] * len(headings), "", ""])
    return buffer.getvalue()


def header(objective: Objective) -> str:
    """The heading of an objective's column."""
    return f"{objective.name} ({objective.unit})" if objective.unit else objective.name


# -- telling ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ParsedResults:
    """What one table of results would do to the ledger.

    answers, corrections: by candidate. extra: by object. known: rows that the ledger holds already. blank: candidates
    of the table without a result, which stay pending. notes: what the person should look at. problems: rows that cannot
    be taken in, and why.
    """

    answers: dict[int, Outcome] = field(default_factory=dict)
    corrections: dict[int, Outcome] = field(default_factory=dict)
    extra: dict[str, Outcome] = field(default_factory=dict)
    known: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def n_new(self) -> int:
        """How many answers there are to commit."""
        return len(self.answers) + len(self.corrections) + len(self.extra)


@dataclass(frozen=True)
class ImportOptions:
    """What may be taken in besides first answers to what was asked.

    extra: measurements of objects that were never proposed. correction: why answers that differ from the ledger's are
    to take their place. replicates: whether several values of one object are averaged.
    """

    extra: bool = False
    correction: str | None = None
    replicates: bool = False


@dataclass(frozen=True)
class _Row:
    """A row of the table: where it stands, whom it is about, and what it says."""

    line: int
    candidate: Candidate | None
    object: str
    outcome: Outcome | None


def read_told(
    ledger: Ledger, path: Path, accept: ImportOptions, canonical: Callable[[str], str | None]
) -> ParsedResults:
    """Looks at a table of results without changing anything.

    Args:
        ledger: of the campaign.
        path: CSV with a header; also with tabs, or with semicolons and decimal commas.
        accept: what may be taken in.
        canonical: the one way of writing an object; None: it is none.

    Raises:
        ConfigError: it is no such table.
    """
    campaign = ledger.campaign()
    if campaign is None:
        raise ConfigError(f"ledger {ledger.name}: the campaign has not begun; start it with al-loop run")
    table = _Table(path, campaign.objectives)
    told = ParsedResults(notes=[*table.notes])
    candidates = ledger.candidates()
    by_id = {c.id: c for c in candidates}
    by_object = {c.object: c for c in candidates}
    rows: dict[int | str, list[_Row]] = {}
    for line, cells in table.rows:
        try:
            candidate, name = _whom(cells, by_id, by_object, canonical, accept, told.notes, f"line {line}")
            row = _Row(line, candidate, name, table.outcome(cells))
        except ValueError as error:
            told.problems.append(f"line {line}: {error}")
            continue
        rows.setdefault(name if candidate is None else candidate.id, []).append(row)
    answered = {e.candidate_id: e for e in ledger.evaluations()}
    vetoes = {d.candidate_id: d for d in ledger.decisions() if d.action == "veto"}
    for same in rows.values():
        try:
            if same[0].candidate is not None and same[0].candidate.id in vetoes:
                _refuse_vetoed(same, vetoes[same[0].candidate.id])
                continue
            _sort_in(told, same, answered, accept)
        except ValueError as error:
            lines = ", ".join(str(row.line) for row in same)
            told.problems.append(f"line{'s' if len(same) > 1 else ''} {lines}: {error}")
    told.problems.sort(key=lambda text: int(re.search(r"\d+", text).group()))  # type: ignore[union-attr]
    return told


def commit(ledger: Ledger, told: ParsedResults, path: Path, accept: ImportOptions) -> None:
    """Commits what ``read_told`` found, all or nothing.

    Raises:
        CampaignError: the ledger has changed since; read the table again.
    """
    now = datetime.now(UTC)
    asked: dict[int, datetime] = {}
    for attempt in ledger.attempts():
        asked.setdefault(attempt.candidate_id, attempt.started)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def answer(candidate_id: int, outcome: Outcome, **facts: object) -> Answer:
        outcome = replace(outcome, info={**outcome.info, "file": path.name, "file_sha256": sha256, **facts})
        return Answer(candidate_id, outcome, f"told by {me()}", min(asked.get(candidate_id, now), now), now)

    ledger.commit_told(
        [answer(i, o) for i, o in told.answers.items()],
        [answer(i, o, correction=accept.correction) for i, o in told.corrections.items()],
        {name: answer(0, o) for name, o in told.extra.items()},
    )


def _whom(
    cells: Mapping[str, str],
    by_id: Mapping[int, Candidate],
    by_object: Mapping[str, Candidate],
    canonical: Callable[[str], str | None],
    accept: ImportOptions,
    notes: list[str],
    where: str,
) -> tuple[Candidate | None, str]:
    """The candidate that a row is about, and its object; None: the object was never proposed.

    Raises:
        ValueError: the row names nothing, an unknown id, or an id and the object of another one.
    """
    written = next((cells[name] for name in _OBJECT_COLUMNS if cells.get(name)), "")
    name = canonical(written) if written else None
    text = cells.get("id", "")
    if text:
        number = _number(text)
        if number is None or number != int(number) or not 0 < number <= _MOST_ID:
            raise ValueError(f"the id {text!r} is not a whole number")
        candidate = by_id.get(int(number))
        if candidate is None:
            raise ValueError(f"the id {text} is not in this run, which has the ids 1 to {max(by_id, default=0)}")
        if written and written != candidate.object:
            if name != candidate.object and name != canonical(candidate.object):
                raise ValueError(f"the id {text} is {candidate.object}, the table says {written}")
            notes.append(f"{where}: {written} is another way to write {candidate.object}, which is meant by id {text}")
        return candidate, candidate.object
    if not written:
        raise ValueError("neither an id nor an object")
    if name is None:
        raise ValueError(f"{written!r} is not a valid object, and there is no id")
    if name in by_object:
        return by_object[name], name
    if not accept.extra:
        raise ValueError(f"{written} was never proposed; to take it in as a further measurement: --extra")
    return None, name


def _refuse_vetoed(rows: Sequence[_Row], veto: Decision) -> None:
    """ValueError: a value stands in a row of an object that was vetoed."""
    if any(row.outcome is not None for row in rows):
        raise ValueError(
            f"{rows[0].object} was vetoed by {veto.by} ({veto.reason}), so it takes no result; leave it blank"
        )


def _sort_in(
    told: ParsedResults, rows: Sequence[_Row], answered: Mapping[int, EvaluationRow], accept: ImportOptions
) -> None:
    """Decides what becomes of all rows of one object. ValueError: they cannot be taken in."""
    candidate = rows[0].candidate
    outcomes = [row.outcome for row in rows if row.outcome is not None]
    if not outcomes:
        if candidate is not None and candidate.id not in answered:
            told.blank.append(candidate.id)
        return
    outcome = _joined(outcomes, accept)
    if len(outcomes) > 1 and len({_said(o) for o in outcomes}) == 1:
        told.notes.append(f"lines {', '.join(str(r.line) for r in rows)} say the same of {rows[0].object}; taken once")
    if candidate is None:
        told.extra[rows[0].object] = outcome
        return
    before = answered.get(candidate.id)
    if before is None:
        told.answers[candidate.id] = outcome
        _note_surprise(told, candidate, outcome)
    elif _said(outcome) == _said(Outcome(values=before.values, failure=before.failure)):
        told.known.append(candidate.id)
    elif accept.correction is not None:
        told.corrections[candidate.id] = outcome
    else:
        raise ValueError(
            f"id {candidate.id} has the answer {_shown(before.values, before.failure)} since "
            f"{before.finished.astimezone():%Y-%m-%d %H:%M}, the table says {_shown(outcome.values, outcome.failure)}; "
            'to put the new one in its place: --correct "the reason"'
        )


def _joined(outcomes: Sequence[Outcome], accept: ImportOptions) -> Outcome:
    """One outcome of several rows of one object."""
    if len({_said(o) for o in outcomes}) == 1:
        return outcomes[0]
    values = [o.values for o in outcomes if o.values is not None]
    if len(values) < len(outcomes):
        raise ValueError("several rows of one object, some with a value and some with a failure; leave one")
    if not accept.replicates:
        said = ", ".join(_shown(v, None) for v in values)
        raise ValueError(f"several values of one object ({said}); leave one, or average them: --replicates")
    columns = list(zip(*values, strict=True))
    return replace(
        outcomes[0],
        values=tuple(statistics.fmean(column) for column in columns),
        noise=tuple(statistics.stdev(column) / math.sqrt(len(column)) for column in columns),
        info={**outcomes[0].info, "replicates": [list(v) for v in values]},
    )


def _said(outcome: Outcome) -> object:
    """What makes two outcomes the same."""
    return outcome.values if outcome.failure is None else (outcome.failure.kind, outcome.failure.reason)


def _shown(values: Sequence[float] | None, failure: Failure | None) -> str:
    return ", ".join(f"{v:g}" for v in values) if values is not None else f"failure ({failure and failure.reason})"


def _note_surprise(told: ParsedResults, candidate: Candidate, outcome: Outcome) -> None:
    if outcome.values is None or candidate.predicted_mean is None or not candidate.predicted_std:
        return
    if len(outcome.values) == 1:
        distance = abs(outcome.values[0] - candidate.predicted_mean) / candidate.predicted_std
        if distance > _SURPRISING:
            told.notes.append(
                f"id {candidate.id}: {outcome.values[0]:g} is far from the {candidate.predicted_mean:.3g} ± "
                f"{candidate.predicted_std:.2g} that was predicted; is the number right, and its unit?"
            )


# -- the table -------------------------------------------------------------------------------------------------------


class _Table:
    """A table of results: its rows, and what its columns mean.

    Raises:
        ConfigError: it cannot be read, or lacks a column.
    """

    def __init__(self, path: Path, objectives: Sequence[Objective]) -> None:
        self.notes: list[str] = []
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not text in UTF-8; save it as 'CSV UTF-8'") from None
        first = next((line for line in text.splitlines() if line.strip()), "")
        delimiter = max(",;\t", key=first.count)
        self._has_decimal_comma = delimiter != ","
        reader = csv.reader(io.StringIO(text), delimiter=delimiter)
        try:
            header_row = next((row for row in reader if any(cell.strip() for cell in row)), None)
            if header_row is None:
                raise ConfigError(f"{path} is empty")
            names = [cell.strip() for cell in header_row]
            lowered = [_OWN_NAMES.get(name.lower(), name) for name in names]
            twice = sorted({n for n in lowered if n and lowered.count(n) > 1})
            if twice:
                raise ConfigError(f"{path}: the column {twice[0]!r} stands twice")
            self.rows: list[tuple[int, dict[str, str]]] = []
            for row in reader:
                if any(cell.strip() for cell in row):
                    padded = [cell.strip() for cell in row] + [""] * (len(names) - len(row))
                    self.rows.append((reader.line_num, dict(zip(lowered, padded, strict=False))))
        except csv.Error as error:
            raise ConfigError(f"{path} is not a table: {error}") from None
        if "id" not in lowered and not set(lowered) & set(_OBJECT_COLUMNS):
            raise ConfigError(f"{path}: a column 'id' or one of {', '.join(_OBJECT_COLUMNS)} is needed; it has {names}")
        self._objectives = tuple(objectives)
        self._columns = [self._find(o, lowered, path, is_only=len(objectives) == 1) for o in objectives]
        self._noise = [
            next((n for n in lowered if n.lower() in (f"{o.name.lower()}_std", f"{o.name.lower()} std")), None)
            for o in objectives
        ]
        meant = {*(c for c, _ in self._columns), *self._noise, *_OBJECT_COLUMNS, *_NOT_FACTS}
        self._facts = [name for name in lowered if name and name not in meant]

    def _find(self, objective: Objective, names: Sequence[str], path: Path, *, is_only: bool) -> tuple[str, float]:
        """The column of an objective, and what its numbers are to be multiplied with."""
        for name in names:
            match = re.fullmatch(r"(.*?)\s*(?:[(\[](.*)[)\]])?", name)
            assert match is not None
            title, unit = match.group(1).lower(), match.group(2)
            if title != objective.name.lower() and not (is_only and title == "value"):
                continue
            if unit is None or unit.strip() == objective.unit:
                if unit is None and objective.unit:
                    self.notes.append(f"the column {name!r} states no unit; taken as {objective.unit}")
                return name, 1.0
            factor = _factor(unit.strip(), objective.unit)
            if factor is None:
                raise ConfigError(
                    f"{path}: the column {name!r} is in {unit}, which cannot be converted to the {objective.unit or 1} "
                    f"of this run; convert the numbers and name the column {header(objective)!r}"
                )
            self.notes.append(f"the column {name!r} is converted to {objective.unit} (times {factor:g})")
            return name, factor
        raise ConfigError(f"{path}: there is no column {header(objective)!r}; it has {', '.join(filter(None, names))}")

    def outcome(self, cells: Mapping[str, str]) -> Outcome | None:
        """What a row says; None: nothing yet. ValueError: it cannot be understood."""
        texts = [cells[name] for name, _ in self._columns]
        info = {name: cells[name] for name in self._facts if cells.get(name)}
        cost = self._number("cost", cells.get("cost", ""))
        failure = cells.get("failure", "")
        if failure:
            if any(texts):
                raise ValueError(f"both a value ({', '.join(texts)}) and a failure ({failure}); leave one")
            is_kind = failure in get_args(FailureKind)
            reason = cells.get("reason") or (cells.get("comment", "") if is_kind else failure) or "no reason given"
            kind: FailureKind = failure if is_kind else "permanent"  # type: ignore[assignment]
            return Outcome(failure=Failure(kind, reason), cost=cost, info=info)
        if not any(texts):
            return None
        values, noise = [], []
        for objective, (name, factor), noise_name, text in zip(
            self._objectives, self._columns, self._noise, texts, strict=True
        ):
            value = self._number(name, text)
            if value is None:
                raise ValueError(f"no {objective.name}, though other values are there: all or none of them are needed")
            values.append(value * factor)
            spread = self._number(noise_name, cells.get(noise_name, "")) if noise_name else None
            if spread is not None and spread < 0:
                raise ValueError(f"{noise_name}: {spread:g} is below 0")
            noise.append(math.nan if spread is None else spread * factor)
        stated = None if any(math.isnan(n) for n in noise) else tuple(noise)
        return Outcome(values=tuple(values), noise=stated, cost=cost, info=info)

    def _number(self, name: str, text: str) -> float | None:
        if not text:
            return None
        number = _number(text.replace(",", ".") if self._has_decimal_comma and text.count(",") == 1 else text)
        if number is None or not math.isfinite(number):
            remedy = "leave it blank if it is not measured yet, or say what went wrong in the column 'failure'"
            what = "a bound, not a measurement" if text[0] in "<>≤≥~" else "not a number"
            raise ValueError(f"{name}: {text!r} is {what}; {remedy}")
        return number


_OWN_NAMES = {name: name for name in (*_OBJECT_COLUMNS, *_NOT_FACTS, "comment")}


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _factor(unit: str, wanted: str) -> float | None:
    """How many of the wanted unit one of the other is; None: they do not measure the same, or are not understood."""
    if not wanted:
        return None
    try:
        import pint
    except ImportError:
        raise ConfigError(f"the table is in {unit} and the run in {wanted}: to convert, pip install pint") from None
    registry: Any = pint.UnitRegistry()
    with suppress(Exception):  # pint raises many types for what it cannot read
        zero, one = (registry.Quantity(x, unit).to(wanted).magnitude for x in (0.0, 1.0))
        if zero == 0 and math.isfinite(one) and one > 0:  # degrees and the like have no factor
            return float(f"{one:.12g}")  # 1000, where the conversion says 999.9999999999999
    return None


def describe(told: ParsedResults, ledger: Ledger) -> Iterator[tuple[str, list[str]]]:
    """What would be committed, as headings with lines."""
    campaign = ledger.campaign()
    assert campaign is not None
    names = {c.id: c.object for c in ledger.candidates()}
    units = [f"{o.name} {{:g}}{f' {o.unit}' if o.unit else ''}" for o in campaign.objectives]

    def line(who: str, outcome: Outcome) -> str:
        if outcome.values is None:
            assert outcome.failure is not None
            return f"{who}: {outcome.failure.kind} failure: {outcome.failure.reason}"
        spread = "" if outcome.noise is None else f" (± {', '.join(f'{n:.2g}' for n in outcome.noise)})"
        return f"{who}: {', '.join(u.format(v) for u, v in zip(units, outcome.values, strict=True))}{spread}"

    of_candidates = (("to be committed", told.answers), ("to be corrected", told.corrections))
    for heading, found in of_candidates:
        if found:
            yield f"{len(found)} {heading}", [line(f"{i}  {names[i]}", o) for i, o in found.items()]
    if told.extra:
        yield (
            f"{len(told.extra)} to be committed that were never proposed",
            [line(name, o) for name, o in told.extra.items()],
        )
    if told.known:
        yield f"{len(told.known)} in the ledger already, with the same result", []
    if told.blank:
        shown = ", ".join(map(str, told.blank[:20])) + (" ..." if len(told.blank) > 20 else "")
        yield f"{len(told.blank)} without a result yet, which stay pending: {shown}", []
    others = {c.id for c in ledger.in_flight()} - told.answers.keys() - {*told.blank}
    if others:
        shown = ", ".join(map(str, sorted(others)[:20])) + (" ..." if len(others) > 20 else "")
        yield f"{len(others)} asked for before and still pending: {shown}", []
    if told.notes:
        yield "please look at", told.notes
    if told.problems:
        yield f"{len(told.problems)} problem{'s' if len(told.problems) > 1 else ''}", told.problems


def write_table(path: Path, text: str) -> None:
    """Writes a table whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
