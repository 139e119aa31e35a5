"""Recording oracle calls and their answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError
from al_loop.ledger import queries, rounds, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_json, public_text
from al_loop.ledger.records import Answer
from al_loop.ledger.schema import finite_or_none
from al_loop.oracles.base import as_outcome

#: the columns that are equal if an answer is the same as one already committed
_SAME_ANSWER: Final = ("worker", "started", "finished", "values", "failure_kind", "failure_reason", "cost")


def begin_attempts(candidate_ids: Sequence[int], worker: str | Mapping[int, str]) -> Write[dict[int, int]]:
    """Return a write that records oracle calls and returns their numbers; see ``Ledger.begin_attempts``."""
    now = datetime.now(UTC)
    ids = list(dict.fromkeys(candidate_ids))
    workers = {id_: public_text(worker if isinstance(worker, str) else worker[id_], 300) for id_ in ids}

    def write(connection: Connection, is_retry: bool) -> dict[int, int]:
        a = schema.attempts.c
        if is_retry:
            first_try = sa.select(a.candidate_id, a.number).where(
                a.candidate_id.in_(ids), a.started == now, a.worker.in_(set(workers.values()))
            )
            if committed := queries.pairs(connection, first_try):
                return committed
        is_answered, vetoed = queries.is_answered(connection, ids), queries.vetoed(connection, ids)
        for id_ in ids:
            _require_open(id_, is_answered, vetoed)
        last = queries.n_attempts(connection, ids)
        numbers = {id_: last.get(id_, 0) + 1 for id_ in ids}
        rows = [{"candidate_id": i, "number": numbers[i], "started": now, "worker": workers[i]} for i in ids]
        seals.insert(connection, schema.attempts, rows)
        return numbers

    return write


def hand_out(candidate_ids: Sequence[int], worker: str, n: int | None) -> Write[dict[int, int]]:
    """Return a write that records calls of candidates that nobody is measuring; see ``Ledger.hand_out``."""
    now = datetime.now(UTC)
    ids, name = list(dict.fromkeys(candidate_ids)), public_text(worker, 300)

    def write(connection: Connection, is_retry: bool) -> dict[int, int]:
        a = schema.attempts.c
        if is_retry:
            first_try = sa.select(a.candidate_id, a.number).where(a.started == now, a.worker == name)
            if committed := queries.pairs(connection, first_try):
                return committed
        free = {c.id for c in queries.pending(connection)} - {c.id for c in queries.in_flight(connection)}
        picked = [id_ for id_ in ids if id_ in free][:n]
        if not picked:
            return {}
        last = queries.n_attempts(connection, picked)
        numbers = {id_: last.get(id_, 0) + 1 for id_ in picked}
        rows = [{"candidate_id": i, "number": numbers[i], "started": now, "worker": name} for i in picked]
        seals.insert(connection, schema.attempts, rows)
        return numbers

    return write


def commit_answers(answers: Sequence[Answer], n_values: int) -> Write[list[str | None]]:
    """Return a write that records answers and returns the reasons for refusals; see ``Ledger.commit_answers``.

    Args:
        answers: the answers.
        n_values: the number of objectives.
    """
    rows = [answer_row(answer, n_values) for answer in answers]

    def write(connection: Connection, is_retry: bool) -> list[str | None]:
        ids = [row["candidate_id"] for row in rows]
        is_answered, n_attempts = queries.is_answered(connection, ids), queries.n_attempts(connection, ids)
        vetoed = queries.vetoed(connection, ids)
        committed: dict[int, list[Mapping[str, Any]]] = {}
        query = sa.select(schema.evaluations).where(schema.evaluations.c.candidate_id.in_(ids))
        for found in connection.execute(query).mappings():
            committed.setdefault(found["candidate_id"], []).append(dict(found))
        new: list[dict[str, Any]] = []
        refusals: list[str | None] = []
        for row in rows:
            id_ = row["candidate_id"]
            earlier = committed.setdefault(id_, [])
            if any(all(answer[key] == row[key] for key in _SAME_ANSWER) for answer in earlier):
                refusals.append(None)
                continue
            try:
                _require_open(id_, is_answered, vetoed)
            except CampaignError as error:
                refusals.append(str(error))
                continue
            refusals.append(None)
            is_answered[id_] = True
            new.append({**row, "attempts": n_attempts.get(id_, 0), "revision": len(earlier)})
            earlier.append(row)
        insert_answers(connection, new)
        return refusals

    return write


def commit_told(
    answers: Sequence[Answer], corrections: Sequence[Answer], extra: Mapping[str, Answer], n_values: int
) -> Write[None]:
    """Return a write that records people's measurements, all or nothing; see ``Ledger.commit_told``.

    Args:
        answers: first answers of candidates.
        corrections: answers that replace earlier ones.
        extra: answers for objects that were never proposed, by object.
        n_values: the number of objectives.
    """
    first, further = [answer_row(a, n_values) for a in answers], [answer_row(a, n_values) for a in corrections]
    new = {name: answer_row(a, n_values) for name, a in extra.items()}
    now = datetime.now(UTC)

    def write(connection: Connection, is_retry: bool) -> None:
        e = schema.evaluations.c
        rows = [*first, *further, *new.values()]
        if is_retry and rows:
            stamp = {key: rows[0][key] for key in ("worker", "started", "finished")}
            if queries.exists(connection, schema.evaluations, **stamp):
                return
        ids = [row["candidate_id"] for row in (*first, *further)]
        is_answered, n_attempts = queries.is_answered(connection, ids), queries.n_attempts(connection, ids)
        vetoed = queries.vetoed(connection, ids)
        for row in first:
            _require_open(row["candidate_id"], is_answered, vetoed)
        latest = sa.select(e.candidate_id, sa.func.max(e.revision)).group_by(e.candidate_id)
        revisions = queries.pairs(connection, latest.where(e.candidate_id.in_(ids)))
        missing = [row["candidate_id"] for row in further if row["candidate_id"] not in revisions]
        if missing:
            raise CampaignError(f"candidate {missing[0]} has no answer to correct")
        new_ids = rounds.add_candidates(connection, list(new), now, origin="told")
        for row in (*first, *further):
            id_ = row["candidate_id"]
            row |= {"attempts": n_attempts.get(id_, 0), "revision": revisions.get(id_, -1) + 1}
        for name, row in new.items():
            row |= {"candidate_id": new_ids[name], "attempts": 0, "revision": 0}
        insert_answers(connection, rows)

    return write


def answer_row(answer: Answer, n_values: int) -> dict[str, Any]:
    """Return an answer as a row of the table of evaluations, without its number and revision."""
    outcome = as_outcome(answer.outcome, n_values)
    failure = outcome.failure
    return {
        "candidate_id": answer.candidate_id,
        "values": None if outcome.values is None else [finite_or_none(v) for v in outcome.values],
        "noise": None if outcome.noise is None else [finite_or_none(v) for v in outcome.noise],
        "censored": None if outcome.censored is None else list(outcome.censored),
        "failure_kind": None if failure is None else failure.kind,
        "failure_reason": None if failure is None else public_text(str(failure.reason)),
        "cost": finite_or_none(outcome.cost),
        "seconds": (answer.finished - answer.started).total_seconds(),
        "started": answer.started,
        "finished": answer.finished,
        "worker": public_text(answer.worker, 300),
        "info": public_json(outcome.info),
        "artifacts": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in outcome.artifacts.items()
            if isinstance(content, bytes)  # as_outcome has read them all
        },
    }


def insert_answers(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert answers, numbered in their order."""
    if not rows:
        return
    number = queries.n_answers(connection)
    closed = queries.largest(connection, schema.round_reports.c.round)
    arrived = 0 if closed is None else closed + 1
    numbered = [{**row, "number": number + 1 + i, "arrived": arrived} for i, row in enumerate(rows)]
    seals.insert(connection, schema.evaluations, numbered)


def _require_open(candidate_id: int, is_answered: Mapping[int, bool], vetoed: set[int]) -> None:
    if candidate_id not in is_answered:
        raise CampaignError(f"candidate {candidate_id} is not in the ledger")
    if candidate_id in vetoed:
        raise CampaignError(f"candidate {candidate_id} was vetoed")
    if is_answered[candidate_id]:
        raise CampaignError(f"candidate {candidate_id} already has an answer")
