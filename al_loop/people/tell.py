"""Import of people's measurements: a table of results is checked against the ledger, then committed all or nothing.

``parse_results`` reads a table and reports the effect of each row; ``commit_results`` stores exactly these results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from al_loop.datafiles.cells import parse_number
from al_loop.datafiles.delimited import OBJECT_COLUMNS
from al_loop.datafiles.headings import detail_headings
from al_loop.datafiles.replicates import average, content
from al_loop.datafiles.result_tables import read_results
from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Answer, Candidate, Decision, EvaluationRow, Ledger
from al_loop.oracles.base import Failure, Outcome, as_outcome
from al_loop.system.numbers import significant
from al_loop.system.users import current_user

_SURPRISING = 6.0  # predicted standard deviations
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class ParsedResults:
    """The effect that an imported table of results would have on the ledger.

    Args:
        answers: first results, by candidate id.
        corrections: results that replace earlier ones, by candidate id.
        extra: results of objects that were never proposed, by object.
        unchanged: ids of candidates whose result is in the ledger already.
        blank: ids of candidates in the table without a result, which remain pending.
        notes: remarks that the user should check.
        problems: the rows that cannot be imported, with the reason, in the order of the file.
    """

    answers: dict[int, Outcome] = field(default_factory=dict)
    corrections: dict[int, Outcome] = field(default_factory=dict)
    extra: dict[str, Outcome] = field(default_factory=dict)
    unchanged: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def n_new(self) -> int:
        """The number of results to commit."""
        return len(self.answers) + len(self.corrections) + len(self.extra)


@dataclass(frozen=True)
class ImportOptions:
    """Permission to import more than first results of candidates.

    Args:
        extra: whether to accept results of objects that were never proposed.
        correction: the reason for replacing results in the ledger by different ones; None: reject them.
        replicates: whether to accept several values of one object, which are averaged.
    """

    extra: bool = False
    correction: str | None = None
    replicates: bool = False


@dataclass(frozen=True)
class _Row:
    """A row of the table.

    Args:
        line: line number in the file.
        candidate: the measured candidate, or None if the object was never proposed.
        object: the measured object.
        outcome: the result, or None if it is blank.
    """

    line: int
    candidate: Candidate | None
    object: str
    outcome: Outcome | None


def parse_results(
    ledger: Ledger, path: Path, options: ImportOptions, canonical: Callable[[str], str | None]
) -> ParsedResults:
    """Read a table of results without changing the ledger.

    Args:
        ledger: the campaign's ledger.
        path: a table in any format of ``read_cells``.
        options: which results to accept.
        canonical: returns the canonical spelling of an object, or None for text that is not an object.

    Raises:
        ConfigError: the file is not such a table, or the campaign has not begun.
    """
    campaign = ledger.campaign()
    if campaign is None:
        raise ConfigError(f"ledger {ledger.name}: the campaign has not begun; start it with al-loop run")
    candidates = ledger.candidates()
    table = read_results(path, campaign.objectives)
    # what ask copied from a library comes back unread
    from_library = {*detail_headings([c.details for c in candidates], campaign.objectives).values()}
    table = replace(table, remark_columns=tuple(n for n in table.remark_columns if n not in from_library))
    results = ParsedResults(notes=[*table.notes])
    identify = _Identifier(candidates, canonical, options)
    problems: list[tuple[int, str]] = []
    rows_by_object: dict[int | str, list[_Row]] = {}
    for line, cells in table.rows:
        try:
            candidate, name, note = identify(cells)
            row = _Row(line, candidate, name, _learnable(table.outcome(cells)))
        except ValueError as error:
            problems.append((line, f"{table.unit} {line}: {error}"))
            continue
        if note:
            results.notes.append(f"{table.unit} {line}: {note}")
        rows_by_object.setdefault(name if candidate is None else candidate.id, []).append(row)
    stored = {e.candidate_id: e for e in ledger.evaluations()}
    vetoes = {d.candidate_id: d for d in ledger.decisions() if d.action == "veto"}
    for rows in rows_by_object.values():
        try:
            if rows[0].candidate is not None and rows[0].candidate.id in vetoes:
                _require_blank(rows, vetoes[rows[0].candidate.id])
                continue
            _add_rows(results, rows, stored, options)
        except ValueError as error:
            lines = ", ".join(str(row.line) for row in rows)
            problems.append((rows[0].line, f"{table.unit}{'s' if len(rows) > 1 else ''} {lines}: {error}"))
    results.problems.extend(text for _, text in sorted(problems, key=lambda problem: problem[0]))
    return results


def commit_results(ledger: Ledger, results: ParsedResults, path: Path, options: ImportOptions) -> None:
    """Commit the results of ``parse_results``, all or nothing.

    Args:
        ledger: the campaign's ledger.
        results: the results to commit, which exclude the rows with problems.
        path: the file from which they were read; its name and SHA-256 are stored with each result.
        options: the options with which the table was read.

    Raises:
        CampaignError: the ledger has changed since; read the table again.
    """
    now = datetime.now(UTC)
    first_attempts: dict[int, datetime] = {}
    for attempt in ledger.attempts():
        first_attempts.setdefault(attempt.candidate_id, attempt.started)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def answer(candidate_id: int, outcome: Outcome, **info: object) -> Answer:
        outcome = replace(outcome, info={**outcome.info, "file": path.name, "file_sha256": sha256, **info})
        started = min(first_attempts.get(candidate_id, now), now)
        return Answer(candidate_id, outcome, f"told by {current_user()}", started, now)

    try:
        ledger.commit_told(
            [answer(i, o) for i, o in results.answers.items()],
            [answer(i, o, correction=options.correction) for i, o in results.corrections.items()],
            {name: answer(0, _without_cost(o)) for name, o in results.extra.items()},
        )
    except CampaignError as error:
        raise CampaignError(
            f"{path}: nothing was committed, because the ledger changed after the table was read ({error}); "
            "read it again to see what is left to commit"
        ) from error


def _without_cost(outcome: Outcome) -> Outcome:
    """Return the outcome of an object that was never proposed, whose cost is no part of this campaign's budget."""
    if outcome.cost is None:
        return outcome
    return replace(outcome, cost=None, info={**outcome.info, "cost": outcome.cost})


class _Identifier:
    """A function that returns the candidate of a row.

    Args:
        candidates: all candidates of the campaign.
        canonical: returns the canonical spelling of an object, or None for text that is not an object.
        options: whether objects that were never proposed may be imported.
    """

    def __init__(
        self, candidates: Sequence[Candidate], canonical: Callable[[str], str | None], options: ImportOptions
    ) -> None:
        self._by_id = {c.id: c for c in candidates}
        # an object is measured again once it has a result, so that the last of its candidates is the one that waits
        self._by_object = {c.object: c for c in candidates}
        self._canonical = canonical
        self._options = options

    def __call__(self, cells: Mapping[str, str]) -> tuple[Candidate | None, str, str]:
        """Return a row's candidate (None: the object was never proposed), its object, and a note or ''.

        Raises:
            ValueError: the row has neither an id nor an object, an unknown id, or an id and another candidate's object.
        """
        text = next((cells[name] for name in OBJECT_COLUMNS if cells.get(name)), "")
        name = self._canonical(text) if text else None
        if cells.get("id"):
            candidate = self._candidate_of(cells["id"])
            if not text or text == candidate.object:
                return candidate, candidate.object, ""
            if name is None or name not in (candidate.object, self._canonical(candidate.object)):
                raise ValueError(f"the id {cells['id']} is {candidate.object}, but the table has {text}")
            note = f"{text} is another spelling of {candidate.object}, the object with the id {cells['id']}"
            return candidate, candidate.object, note
        if not text:
            raise ValueError("the row has neither an id nor an object")
        if name is None:
            raise ValueError(f"{text!r} is not a valid object, and the row has no id")
        proposed = self._by_object.get(name) or self._by_canonical.get(name)
        if proposed is not None:
            return proposed, proposed.object, ""
        if not self._options.extra:
            raise ValueError(f"{text} was never proposed; pass --extra to import it as a further measurement")
        return None, name, ""

    @cached_property
    def _by_canonical(self) -> dict[str, Candidate]:
        """The candidates whose objects were proposed in a spelling that is not canonical, by the canonical one."""
        spellings = {name: self._canonical(name) for name in self._by_object}
        return {c: self._by_object[name] for name, c in spellings.items() if c is not None and c != name}

    def _candidate_of(self, text: str) -> Candidate:
        number = parse_number(text)
        if number is None or number != int(number) or not 0 < number <= _LARGEST_ID:
            raise ValueError(
                f"the id {text!r} is not a whole number, as ask writes them; give a column of your own ids another name"
            )
        candidate = self._by_id.get(int(number))
        if candidate is None:
            raise ValueError(f"the id {text} is not in this run, whose ids are 1 to {max(self._by_id, default=0)}")
        return candidate


def _learnable(outcome: Outcome | None) -> Outcome | None:
    """Return a result as the ledger will record it.

    Raises:
        ValueError: no model can learn from one of its numbers.
    """
    if outcome is None or outcome.values is None:
        return outcome
    recorded = as_outcome(outcome, len(outcome.values))
    if recorded.failure is not None or "refused" in recorded.info:
        raise ValueError(f"{', '.join(f'{v:g}' for v in outcome.values)} is too large or too uncertain to learn from")
    return replace(outcome, censored=recorded.censored)


def _require_blank(rows: Sequence[_Row], veto: Decision) -> None:
    """Raise ValueError if a row has a result although its object was vetoed."""
    if any(row.outcome is not None for row in rows):
        raise ValueError(
            f"{rows[0].object} was vetoed by {veto.by} ({veto.reason}), so it cannot have a result; leave the row blank"
        )


def _add_rows(
    results: ParsedResults, rows: Sequence[_Row], stored: Mapping[int, EvaluationRow], options: ImportOptions
) -> None:
    """Add all rows of one object to the results.

    Args:
        results: receives the effect of the rows.
        rows: all rows of the object.
        stored: the ledger's evaluations, by candidate id.
        options: which results to accept.

    Raises:
        ValueError: the rows cannot be imported.
    """
    candidate = rows[0].candidate
    outcomes = [row.outcome for row in rows if row.outcome is not None]
    if not outcomes:
        if candidate is not None and candidate.id not in stored:
            results.blank.append(candidate.id)
        return
    outcome = _merge(outcomes, options)
    if len(outcomes) > 1 and len({content(o) for o in outcomes}) == 1:
        lines = ", ".join(str(row.line) for row in rows)
        results.notes.append(f"lines {lines} report the same result for {rows[0].object}; it is imported once")
    if candidate is None:
        results.extra[rows[0].object] = outcome
        return
    previous = stored.get(candidate.id)
    if previous is None:
        results.answers[candidate.id] = outcome
        if note := _surprise(candidate, outcome):
            results.notes.append(note)
    elif content(outcome) == content(
        Outcome(values=previous.values, failure=previous.failure, censored=previous.censored)
    ):
        results.unchanged.append(candidate.id)
    elif options.correction is not None:
        results.corrections[candidate.id] = outcome
    else:
        raise ValueError(
            f"the id {candidate.id} has had the result {_text(previous.values, previous.failure)} since "
            f"{previous.finished.astimezone():%Y-%m-%d %H:%M}, but the table has "
            f'{_text(outcome.values, outcome.failure)}; to replace it, pass --correct "the reason"'
        )


def _merge(outcomes: Sequence[Outcome], options: ImportOptions) -> Outcome:
    """Return one outcome for several of the same object: their common one, or the average of replicates.

    Raises:
        ValueError: the outcomes contradict each other.
    """
    if len({content(o) for o in outcomes}) == 1:
        return outcomes[0]
    values = [o.values for o in outcomes if o.values is not None]
    if len(values) < len(outcomes):
        raise ValueError("several rows of one object, some with a value and some with a failure; keep one of them")
    if not options.replicates:
        texts = ", ".join(_text(v, None) for v in values)
        raise ValueError(f"several values of one object ({texts}); keep one, or pass --replicates to average them")
    return average(outcomes)


def _text(values: Sequence[float] | None, failure: Failure | None) -> str:
    return ", ".join(f"{v:g}" for v in values) if values is not None else f"failure ({failure and failure.reason})"


def _surprise(candidate: Candidate, outcome: Outcome) -> str:
    """Return a note if a value is far from its prediction, which suggests a typing error or a wrong unit, else ''."""
    if outcome.values is None or candidate.predicted_mean is None or not candidate.predicted_std:
        return ""
    if len(outcome.values) > 1 or outcome.censored:
        return ""
    distance = abs(outcome.values[0] - candidate.predicted_mean) / candidate.predicted_std
    if distance <= _SURPRISING:
        return ""
    value = f"{outcome.values[0]:g}"
    predicted = f"{significant(candidate.predicted_mean, 3)} ± {significant(candidate.predicted_std, 2)}"
    return f"id {candidate.id}: {value} is far from the prediction {predicted}; check the number and its unit"
