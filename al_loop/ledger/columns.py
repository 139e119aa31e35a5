"""Queries that return whole columns instead of a record for each row, for tables of large campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.ledger import queries, schema

#: columns of a table, each with one entry per row
Columns = dict[str, list[Any]]
_CANDIDATE: Final = (
    "id", "round", "position", "object", "origin", "fidelity", "predicted_mean", "predicted_std", "acquisition",
    "details", "replicate",
)  # fmt: skip
_OF_CANDIDATE: Final = (
    "object",
    "round",
    "position",
    "fidelity",
    "predicted_mean",
    "predicted_std",
    "origin",
    "details",
    "replicate",
)
_EVALUATION: Final = (
    "candidate_id", "values", "noise", "censored", "failure_kind", "failure_reason", "cost", "seconds", "started",
    "finished", "worker", "attempts", "number", "arrived", "revision",
)  # fmt: skip
_JSON: Final = ("values", "noise", "censored", "details")


@dataclass(frozen=True)
class Counts:
    """The progress of a campaign in numbers that the database counts.

    Args:
        rounds: opened rounds.
        closed_rounds: rounds with a report.
        proposed: candidates.
        answered: candidates with an answer that was not asked again.
        failed: those of them whose answer is a failure.
        imported: those of them that stand for earlier data.
        pending: candidates without such an answer, except vetoed ones.
        sessions: starts of the campaign's process.
        last_answer: the time of the newest answer; ``None`` if there is none.
    """

    rounds: int
    closed_rounds: int
    proposed: int
    answered: int
    failed: int
    imported: int
    pending: int
    sessions: int
    last_answer: datetime | None


def counts(connection: Connection) -> Counts:
    """Return the progress of the campaign."""
    e, c = schema.evaluations.c, schema.candidates.c
    latest = sa.select(sa.func.count(), sa.func.count(e.failure_kind)).where(queries.is_latest())
    answered, failed = connection.execute(latest).one()
    joined = sa.select(sa.func.count()).select_from(schema.evaluations)
    joined = joined.join(schema.candidates, c.id == e.candidate_id)
    earlier = joined.where(queries.is_latest(), c.origin == queries.IMPORTED)
    is_veto = sa.select(schema.decisions.c.candidate_id).where(schema.decisions.c.action == "veto")
    pending = sa.select(sa.func.count()).select_from(schema.candidates)
    return Counts(
        rounds=_n_rows(connection, schema.rounds),
        closed_rounds=_n_rows(connection, schema.round_reports),
        proposed=_n_rows(connection, schema.candidates),
        answered=int(answered),
        failed=int(failed),
        imported=int(connection.scalar(earlier) or 0),
        pending=int(connection.scalar(pending.where(queries.is_open(c.id), c.id.not_in(is_veto))) or 0),
        sessions=_n_rows(connection, schema.sessions),
        last_answer=connection.scalar(sa.select(sa.func.max(e.finished))),
    )


def version(connection: Connection) -> tuple[int, int, int, int]:
    """Return numbers of which one grows with everything that changes rounds, candidates or answers."""
    return (
        queries.n_answers(connection),
        queries.largest(connection, schema.candidates.c.id) or 0,
        _n_rows(connection, schema.rounds),
        _n_rows(connection, schema.round_reports),
    )


def candidates(connection: Connection) -> Columns:
    """Return the columns of all candidates, in order; details are mappings, or ``None``."""
    c = schema.candidates.c
    table = _columns(connection, sa.select(*_of_candidates(_CANDIDATE)).order_by(c.id), _CANDIDATE)
    return table | {"details": queries.decoded(table["details"])}


def _of_candidates(names: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    c = schema.candidates.c
    return [sa.type_coerce(c[name], sa.Text) if name in _JSON else c[name] for name in names]


def evaluations(connection: Connection) -> Columns:
    """Return the columns of the latest answers, in the order of the candidates, with their objects and predictions.

    Times are texts in ISO format; values, noise and bounds are lists, or ``None``.
    """
    c, e = schema.candidates.c, schema.evaluations.c
    plain = [sa.type_coerce(e[n], sa.Text) if n in (*_JSON, "started", "finished") else e[n] for n in _EVALUATION]
    query = (
        sa.select(*plain, *_of_candidates(_OF_CANDIDATE))
        .join(schema.candidates, c.id == e.candidate_id)
        .where(queries.is_latest())
        .order_by(e.candidate_id, e.revision)
    )
    table = _columns(connection, query, (*_EVALUATION, *_OF_CANDIDATE))
    return table | {name: queries.decoded(table[name]) for name in _JSON}


def are_additions(connection: Connection, after: int) -> bool:
    """Return whether all answers after a number are the first of their candidates, and nothing was asked again."""
    e, r = schema.evaluations.c, schema.retries.c
    has_revision = sa.select(sa.literal(1)).where(e.number > after, e.revision > 0).limit(1)
    has_retry = sa.select(sa.literal(1)).where(r.number > after).limit(1)
    return connection.scalar(has_revision) is None and connection.scalar(has_retry) is None


def values(connection: Connection) -> Columns:
    """Return ``candidate_id``, ``values``, ``censored`` and ``fidelity`` of the latest answers, by candidate."""
    c, e = schema.candidates.c, schema.evaluations.c
    query = (
        sa.select(e.candidate_id, sa.type_coerce(e["values"], sa.Text), sa.type_coerce(e.censored, sa.Text), c.fidelity)
        .join(schema.candidates, c.id == e.candidate_id)
        .where(queries.is_latest())
        .order_by(e.candidate_id, e.revision)
    )
    table = _columns(connection, query, ("candidate_id", "values", "censored", "fidelity"))
    return table | {name: queries.decoded(table[name]) for name in ("values", "censored")}


def calls(connection: Connection) -> Columns:
    """Return the calls of the oracle by candidate and number: with round, worker, start, and whether they are void."""
    a, v, c = schema.attempts.c, schema.void_attempts, schema.candidates.c
    is_same = (v.c.candidate_id == a.candidate_id) & (v.c.number == a.number)
    query = (
        sa.select(a.candidate_id, c.round, a.number, a.worker, sa.type_coerce(a.started, sa.Text), v.c.reason)
        .join(schema.candidates, c.id == a.candidate_id)
        .outerjoin(v, is_same)
        .order_by(a.candidate_id, a.number)
    )
    table = _columns(connection, query, ("candidate", "round", "attempt", "worker", "started", "void"))
    return {**table, "is_void": [reason is not None for reason in table.pop("void")]}


def answered_calls(connection: Connection) -> Columns:
    """Return candidate, number of the call, start, end and kind of failure of all answers ever given."""
    e = schema.evaluations.c
    times = (sa.type_coerce(e.started, sa.Text), sa.type_coerce(e.finished, sa.Text))
    query = sa.select(e.candidate_id, e.attempts, *times, e.failure_kind).order_by(e.candidate_id, e.revision)
    return _columns(connection, query, ("candidate", "attempt", "started", "finished", "failure"))


def measured_again(connection: Connection) -> dict[int, str]:
    """Return the hash of the object of each candidate whose object was proposed for several measurements."""
    c = schema.candidates.c
    again = sa.select(c.object_sha256).where(c.replicate > 0)
    rows = connection.execute(sa.select(c.id, c.object_sha256).where(c.object_sha256.in_(again)))
    return {row.id: row.object_sha256 for row in rows}


def objects(connection: Connection, candidate_ids: Sequence[int]) -> list[str]:
    """Return the objects of candidates, in the order of their ids."""
    c = schema.candidates.c
    rows = connection.execute(sa.select(c.id, c.object).where(c.id.in_(candidate_ids))).all()
    of_id = {row[0]: row[1] for row in rows}
    return [of_id[id_] for id_ in candidate_ids]


def details(connection: Connection, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what a library says about objects beside their structure, by object; without those it says nothing of."""
    c = schema.candidates.c
    query = sa.select(c.object, c.details).where(c.object_sha256.in_([queries.sha256(name) for name in names]))
    return {name: dict(entry) for name, entry in connection.execute(query) if entry}


def reports(connection: Connection) -> list[tuple[int, dict[str, Any]]]:
    """Return the number and the metrics of each closed round, in order."""
    r = schema.round_reports.c
    return [(row.round, row.metrics) for row in connection.execute(sa.select(r.round, r.metrics).order_by(r.round))]


def target_fidelity(connection: Connection) -> str | None:
    """Return the fidelity whose values count, or ``None`` if the campaign does not choose fidelities."""
    r = schema.rounds.c
    info = connection.scalar(sa.select(r.info).where(r.number == 0))
    fidelities = (info or {}).get("fidelities")
    return str(fidelities[-1]) if fidelities else None


def failure_reasons(connection: Connection) -> list[tuple[str, str, int]]:
    """Return kind, reason and number of the latest answers that are failures, the most frequent first."""
    e = schema.evaluations.c
    number = sa.func.count()
    query = sa.select(e.failure_kind, e.failure_reason, number).where(e.failure_kind.is_not(None), queries.is_latest())
    rows = connection.execute(query.group_by(e.failure_kind, e.failure_reason).order_by(number.desc())).all()
    return [(kind, reason, n) for kind, reason, n in rows]


def _n_rows(connection: Connection, table: sa.Table) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def _columns(connection: Connection, query: sa.Select[Any], names: Sequence[str]) -> Columns:
    with queries.without_collections():
        rows = connection.execute(query).all()
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}
