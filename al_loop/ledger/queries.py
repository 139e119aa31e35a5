"""Queries of the ledger, as functions of a connection."""

from __future__ import annotations

import gc
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.ledger import schema
from al_loop.ledger.records import (
    AttemptRow,
    CampaignRow,
    Candidate,
    Change,
    Decision,
    EvaluationRow,
    Lease,
    Observation,
    Retry,
    RoundRow,
    SessionRow,
)
from al_loop.oracles.base import Failure, FailureKind, Objective
from al_loop.system.plain_values import Bound, is_learnable

#: the origin of candidates that stand for earlier data, whose calls and costs are not this campaign's
IMPORTED: Final = "imported"
_AT_ONCE: Final = 10_000  # rows that become records together
#: columns that an ``EvaluationRow`` takes as they are
_UNCHANGED: Final = ("cost", "seconds", "started", "finished", "worker", "attempts", "info", "artifacts", "number")


# -- helpers ---------------------------------------------------------------------------------------------------------


def sha256(text: str) -> str:
    """Return the SHA-256 of a text in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def exists(connection: Connection, table: sa.Table, **equal: object) -> bool:
    """Return whether a table has a row with these values."""
    query = sa.select(sa.literal(1)).select_from(table).where(*(table.c[k] == v for k, v in equal.items())).limit(1)
    return connection.scalar(query) is not None


def largest(connection: Connection, column: sa.Column[Any], *where: sa.ColumnElement[bool]) -> int | None:
    """Return the largest value of a column, or ``None`` if no row matches."""
    number: int | None = connection.scalar(sa.select(sa.func.max(column)).where(*where))
    return number


def pairs(connection: Connection, query: sa.Select[Any]) -> dict[int, int]:
    """Return the rows of a query of two integers as a mapping from the first to the second."""
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}


@contextmanager
def without_collections() -> Iterator[None]:
    """Hold garbage collection while many rows are read: none is garbage, but each collection would look at all."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def candidates(connection: Connection, *where: sa.ColumnElement[bool]) -> list[Candidate]:
    """Return the candidates that meet all conditions, in order."""
    c = schema.candidates.c
    columns = [c[name] for name in Candidate.__dataclass_fields__ if name not in ("details", "replicate")]
    query = sa.select(*columns, sa.type_coerce(c.details, sa.Text), c.replicate).where(*where).order_by(c.id)
    found: list[Candidate] = []
    with without_collections():
        for rows in connection.execute(query).partitions(_AT_ONCE):
            details = decoded([row[-2] for row in rows])
            found += [
                Candidate(*r[:9], details=of_row, replicate=r[-1]) for r, of_row in zip(rows, details, strict=True)
            ]
    return found


def decoded(texts: Sequence[str | None]) -> list[Any]:
    """Return the content of a column of JSON texts; all are parsed at once, which is many times faster."""
    if all(text is None for text in texts):
        return [None] * len(texts)
    content: list[Any] = json.loads(f"[{','.join('null' if text is None else text for text in texts)}]")
    return content


def _floats(values: Sequence[float | None] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(math.nan if v is None else float(v) for v in values)


def _bounds(values: Sequence[Bound | None] | None) -> tuple[Bound | None, ...] | None:
    return None if values is None else tuple(values)


def is_latest(until: int | None = None) -> sa.ColumnElement[bool]:
    """Return the condition that an answer is its candidate's latest, among those up to number ``until``."""
    e, later = schema.evaluations.c, schema.evaluations.alias("later")
    is_corrected = (later.c.candidate_id == e.candidate_id) & (later.c.revision > e.revision)
    r = schema.retries.c
    is_asked_again = (r.candidate_id == e.candidate_id) & (r.revision == e.revision)
    if until is None:
        return ~sa.exists().where(is_corrected) & ~sa.exists().where(is_asked_again)
    return (
        (e.number <= until)
        & ~sa.exists().where(is_corrected & (later.c.number <= until))
        & ~sa.exists().where(is_asked_again & (r.number <= until))
    )


def is_open(id_: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Return the condition that a candidate has no answer, or was asked again after its latest one."""
    e, r = schema.evaluations.c, schema.retries.c
    has_newer = sa.exists().where((e.candidate_id == r.candidate_id) & (e.revision > r.revision))
    return ~sa.exists().where(e.candidate_id == id_) | sa.exists().where((r.candidate_id == id_) & ~has_newer)


def _counts(candidate_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Return the condition that what a candidate cost was spent by this campaign; earlier data cost it nothing."""
    c = schema.candidates.c
    return candidate_id.not_in(sa.select(c.id).where(c.origin == IMPORTED))


def _is_void() -> sa.ColumnElement[bool]:
    """Return the condition that an oracle call measured nothing, because the oracle could not work."""
    a, v = schema.attempts.c, schema.void_attempts.c
    return sa.exists().where((v.candidate_id == a.candidate_id) & (v.number == a.number))


# -- campaign, sessions, rounds --------------------------------------------------------------------------------------


def campaign(connection: Connection) -> CampaignRow | None:
    """Return the campaign, or ``None`` if the ledger has none."""
    row = connection.execute(sa.select(schema.campaign)).one_or_none()
    if row is None:
        return None
    objectives = tuple(Objective(**o) for o in row.objectives)
    return CampaignRow(row.name, row.config, row.fingerprint, row.seed, objectives, row.created, row.uid)


def sessions(connection: Connection) -> list[SessionRow]:
    """Return every start of the campaign's process, in order."""
    query = sa.select(*schema.content(schema.sessions)).order_by(schema.sessions.c.id)
    return [SessionRow(**row) for row in connection.execute(query).mappings()]


def last_session(connection: Connection) -> SessionRow | None:
    """Return the newest start of the campaign's process, or ``None`` before the first."""
    query = sa.select(*schema.content(schema.sessions)).order_by(schema.sessions.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else SessionRow(**row)


def rounds(connection: Connection, since: int = 0) -> list[RoundRow]:
    """Return every round from a number on with its report, in order."""
    reports = schema.round_reports.c
    query = (
        sa.select(
            *schema.content(schema.rounds), reports.closed, reports.metrics, reports.seconds.label("closing_seconds")
        )
        .outerjoin(schema.round_reports, reports.round == schema.rounds.c.number)
        .where(schema.rounds.c.number >= since)
        .order_by(schema.rounds.c.number)
    )
    return [RoundRow(**row) for row in connection.execute(query).mappings()]


def last_round(connection: Connection) -> int | None:
    """Return the number of the newest round, or ``None`` before the first."""
    return largest(connection, schema.rounds.c.number)


def is_closed(connection: Connection, number: int) -> bool:
    """Return whether the report of a round is committed."""
    return exists(connection, schema.round_reports, round=number)


# -- candidates and decisions ----------------------------------------------------------------------------------------


def pending(connection: Connection) -> list[Candidate]:
    """Return the candidates that have no answer and were not vetoed, in order."""
    id_ = schema.candidates.c.id
    is_veto = schema.decisions.c.action == "veto"
    return candidates(
        connection,
        is_open(id_),
        id_.not_in(sa.select(schema.decisions.c.candidate_id).where(is_veto)),
    )


def in_flight(connection: Connection) -> dict[Candidate, int]:
    """Return the candidates with oracle calls after their last answer, if any, each with the number of these calls."""
    a, e = schema.attempts.c, schema.evaluations.c
    has_ended = sa.exists().where((e.candidate_id == a.candidate_id) & (e.attempts >= a.number))
    began = sa.select(a.candidate_id, sa.func.count()).where(is_open(a.candidate_id), ~has_ended, ~_is_void())
    counts = pairs(connection, began.group_by(a.candidate_id))
    # an answer may have arrived between the two queries
    rows = candidates(connection, is_open(schema.candidates.c.id), schema.candidates.c.id.in_(list(counts)))
    return {candidate: counts[candidate.id] for candidate in rows}


def known_objects(connection: Connection) -> set[str]:
    """Return every object ever proposed."""
    return set(connection.scalars(sa.select(schema.candidates.c.object)))


def decisions(connection: Connection) -> list[Decision]:
    """Return every decision, in order."""
    query = sa.select(schema.decisions).order_by(schema.decisions.c.id)
    return [
        Decision(r["round"], r["action"], r["candidate_id"], r["reason"], r["decided_by"], r["decided"])
        for r in connection.execute(query).mappings()
    ]


def vetoed(connection: Connection, candidate_ids: Sequence[int] | None = None) -> set[int]:
    """Return the ids of all vetoed candidates, or of those among ``candidate_ids``."""
    d = schema.decisions.c
    query = sa.select(d.candidate_id).where(d.action == "veto")
    if candidate_ids is not None:
        query = query.where(d.candidate_id.in_(candidate_ids))
    return set(connection.scalars(query))


def is_approved(connection: Connection, number: int) -> bool:
    """Return whether a person approved the batch of a round."""
    return exists(connection, schema.decisions, round=number, action="approve")


def has_gone_out(connection: Connection, number: int) -> bool:
    """Return whether the batch of a round was approved, or the oracle was called for one of its candidates."""
    in_round = sa.select(schema.candidates.c.id).where(schema.candidates.c.round == number)
    begun = sa.select(sa.literal(1)).where(schema.attempts.c.candidate_id.in_(in_round)).limit(1)
    return is_approved(connection, number) or connection.scalar(begun) is not None


# -- answers ---------------------------------------------------------------------------------------------------------


def observations(connection: Connection, until: int | None = None, after: int = 0) -> list[Observation]:
    """Return the latest answer of each candidate with its object, in the order of the candidates.

    Args:
        connection: a connection to the ledger.
        until: the largest answer number to include, which reproduces an earlier state; None: all.
        after: the largest answer number to leave out.
    """
    c, e = schema.candidates.c, schema.evaluations.c
    texts = (sa.type_coerce(e[name], sa.Text) for name in ("values", "noise", "censored"))
    query = (
        sa.select(c.object, *texts, e.failure_kind, c.round, e.arrived, c.fidelity, e.cost, e.seconds, c.origin, c.id)
        .join(schema.candidates, c.id == e.candidate_id)
        .where(is_latest(until), e.number > after)
        .order_by(c.id)
    )
    with without_collections():
        parts = connection.execute(query).partitions(_AT_ONCE)
        return [observation for rows in parts for observation in _observations(rows)]


def _observations(rows: Sequence[Any]) -> list[Observation]:
    values, noise, censored = (decoded([row[i] for row in rows]) for i in (1, 2, 3))
    return [
        Observation(name, *_learnable(_floats(v), kind), r, a, _floats(n), f, cost, seconds, _bounds(b), origin, id_)
        for (name, _, _, _, kind, r, a, f, cost, seconds, origin, id_), v, n, b in zip(
            rows, values, noise, censored, strict=True
        )
    ]


def _learnable(
    values: tuple[float, ...] | None, failure: FailureKind | None
) -> tuple[tuple[float, ...] | None, FailureKind | None]:
    """Return values and failure of an answer, without values that no model can learn from.

    Today these are refused when they arrive; ledgers of earlier releases have some.
    """
    if values is None or all(is_learnable(value) or math.isnan(value) for value in values):
        return values, failure
    values = tuple(value if is_learnable(value) else math.nan for value in values)
    return (None, "permanent") if all(map(math.isnan, values)) else (values, failure)


def evaluations(connection: Connection, *, has_all_revisions: bool = False) -> list[EvaluationRow]:
    """Return the answers in the order of the candidates, with or without those corrected or asked again later."""
    e = schema.evaluations.c
    query = sa.select(schema.evaluations).order_by(e.candidate_id, e.revision)
    if not has_all_revisions:
        query = query.where(is_latest())
    return [
        EvaluationRow(
            candidate_id=row["candidate_id"],
            values=_floats(row["values"]),
            noise=_floats(row["noise"]),
            failure=None if row["failure_kind"] is None else Failure(row["failure_kind"], row["failure_reason"]),
            arrived=row["arrived"],
            revision=row["revision"],
            censored=_bounds(row["censored"]),
            **{key: row[key] for key in _UNCHANGED},
        )
        for row in connection.execute(query).mappings()
    ]


def n_answers(connection: Connection) -> int:
    """Return the number of the newest answer or retry."""
    numbers = (largest(connection, table.c.number) or 0 for table in (schema.evaluations, schema.retries))
    return max(numbers)


def has_measured(connection: Connection) -> bool:
    """Return whether the oracle has ever measured a value, earlier data aside."""
    e = schema.evaluations.c
    query = sa.select(sa.literal(1)).select_from(schema.evaluations).where(e["values"].is_not(None))
    return connection.scalar(query.where(_counts(e.candidate_id)).limit(1)) is not None


def answered_since(connection: Connection, number: int) -> tuple[int, dict[int, bool]]:
    """Return the newest answer's number, and whether each candidate answered after ``number`` has a value."""
    e = schema.evaluations.c
    query = sa.select(e.number, e.candidate_id, e.failure_kind).where(e.number > number).order_by(e.number)
    rows = connection.execute(query).all()
    return (rows[-1][0] if rows else number), {id_: kind is None for _, id_, kind in rows}


def is_answered(connection: Connection, candidate_ids: Sequence[int]) -> dict[int, bool]:
    """Return for each candidate whether it has an answer, not asked again; unknown ids are not in the result."""
    c = schema.candidates.c
    query = sa.select(c.id, is_open(c.id)).where(c.id.in_(candidate_ids))
    return {id_: not is_pending for id_, is_pending in connection.execute(query)}


def cost(connection: Connection) -> float:
    """Return the sum of all recorded costs, without earlier data."""
    e = schema.evaluations.c
    return float(connection.scalar(sa.select(sa.func.sum(e.cost)).where(_counts(e.candidate_id))) or 0.0)


def retries(connection: Connection) -> list[Retry]:
    """Return every request to measure a failed candidate again, in order."""
    query = sa.select(schema.retries).order_by(schema.retries.c.number)
    rows = connection.execute(query).all()
    return [Retry(r.candidate_id, r.revision, r.number, r.reason, r.requested_by, r.requested) for r in rows]


# -- oracle calls ----------------------------------------------------------------------------------------------------


def attempts(connection: Connection) -> list[AttemptRow]:
    """Return every oracle call, by candidate and number."""
    query = sa.select(*schema.content(schema.attempts)).order_by(
        schema.attempts.c.candidate_id, schema.attempts.c.number
    )
    return [AttemptRow(**row) for row in connection.execute(query).mappings()]


def n_calls(connection: Connection) -> int:
    """Return the number of oracle calls, further attempts included, but not void ones and those of earlier data."""
    query = sa.select(sa.func.count()).select_from(schema.attempts)
    return int(connection.scalar(query.where(_counts(schema.attempts.c.candidate_id), ~_is_void())) or 0)


def n_attempts(connection: Connection, candidate_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of oracle calls for each candidate that has any."""
    a = schema.attempts.c
    query = (
        sa.select(a.candidate_id, sa.func.max(a.number))
        .where(a.candidate_id.in_(candidate_ids))
        .group_by(a.candidate_id)
    )
    return pairs(connection, query)


# -- changes and the lease -------------------------------------------------------------------------------------------


def changes(connection: Connection) -> list[Change]:
    """Return everything that changed between two starts, in order."""
    rows = connection.execute(sa.select(schema.changes).order_by(schema.changes.c.id)).all()
    return [Change(r.round, r.kind, r.key, r.old, r.new, r.reason, r.changed_by, r.changed) for r in rows]


def lease(connection: Connection) -> Lease | None:
    """Return the lease of the process that drives the campaign, or ``None`` if none ever did."""
    row = connection.execute(sa.select(schema.leases)).mappings().one_or_none()
    return None if row is None else Lease(**{name: row[name] for name in Lease.__dataclass_fields__})
