"""Copying the first rounds of a campaign into the empty ledger of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import ConfigError
from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write

Row = dict[str, Any]


@dataclass(frozen=True)
class FirstRounds:
    """The rows of a campaign's first rounds: what was answered or vetoed, and what people decided.

    Args:
        rounds: the rounds.
        reports: their reports.
        candidates: their candidates, without those that still await an answer.
        attempts: the oracle calls for these.
        evaluations: their answers, with all revisions.
        decisions: people's decisions about them.
    """

    rounds: Sequence[Row]
    reports: Sequence[Row]
    candidates: Sequence[Row]
    attempts: Sequence[Row]
    evaluations: Sequence[Row]
    decisions: Sequence[Row]


def first_rounds(connection: Connection, number: int) -> FirstRounds:
    """Return the rows of the rounds before a number; late answers count as of the last of them."""
    c, e, a, d = schema.candidates.c, schema.evaluations.c, schema.attempts.c, schema.decisions.c
    kept = (c.round < number) & (
        sa.exists().where(e.candidate_id == c.id) | sa.exists().where((d.candidate_id == c.id) & (d.action == "veto"))
    )
    ids = sa.select(c.id).where(kept)

    def rows(table: sa.Table, condition: sa.ColumnElement[bool]) -> list[Row]:
        query = sa.select(*schema.content(table)).where(condition).order_by(*table.primary_key)
        return [dict(row) for row in connection.execute(query).mappings()]

    evaluations = rows(schema.evaluations, e.candidate_id.in_(ids))
    is_about_kept = (d.candidate_id.is_(None) | d.candidate_id.in_(ids)) & (d.action != "stop")
    return FirstRounds(
        rows(schema.rounds, schema.rounds.c.number < number),
        rows(schema.round_reports, schema.round_reports.c.round < number),
        [{**row, "origin": queries.IMPORTED} for row in rows(schema.candidates, kept)],
        rows(schema.attempts, a.candidate_id.in_(ids)),
        [{**row, "arrived": min(row["arrived"], number - 1)} for row in evaluations],
        rows(schema.decisions, (d.round < number) & is_about_kept),
    )


def take_over(name: str, first: FirstRounds, campaign: Mapping[str, Any], session: Mapping[str, Any]) -> Write[None]:
    """Return a write that fills an empty ledger with the first rounds of another campaign, all or nothing.

    Args:
        name: the ledger's name, for messages.
        first: the rows of the rounds.
        campaign: the row of the new campaign.
        session: the row of its first session.
    """

    def write(connection: Connection, is_retry: bool) -> None:
        row = connection.execute(sa.select(schema.campaign)).one_or_none()
        if row is not None:
            if is_retry and row.uid == campaign["uid"]:
                return
            raise ConfigError(f"ledger {name}: has a campaign already, {row.name!r}; choose another run directory")
        seals.insert(connection, schema.campaign, [campaign])
        seals.insert(connection, schema.sessions, [session])
        for table, rows in (
            (schema.rounds, first.rounds),
            (schema.round_reports, first.reports),
            (schema.candidates, first.candidates),
            (schema.attempts, first.attempts),
            (schema.evaluations, first.evaluations),
            (schema.decisions, first.decisions),
        ):
            seals.insert(connection, table, rows)

    return write
