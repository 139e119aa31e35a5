"""Asking again for what failed, and declaring oracle calls void."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError
from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_text


def retry(candidate_ids: Sequence[int], *, reason: str, by: str) -> Write[None]:
    """Return a write that makes failed candidates pending again; see ``Ledger.retry``.

    Args:
        candidate_ids: the candidates, whose latest answers are failures.
        reason: the reason; may be empty.
        by: the name of the person.
    """
    now, ids = datetime.now(UTC), list(dict.fromkeys(candidate_ids))

    def write(connection: Connection, is_retry: bool) -> None:
        if is_retry and queries.exists(connection, schema.retries, requested=now):
            return
        answers = {e.candidate_id: e for e in queries.evaluations(connection)}
        for id_ in ids:
            if id_ not in answers:
                raise CampaignError(f"candidate {id_} has no answer, so it need not be asked again")
            if answers[id_].failure is None:
                raise CampaignError(f"candidate {id_} did not fail, so it cannot be asked again; correct it instead")
        first = queries.n_answers(connection) + 1
        request = {"reason": public_text(reason), "requested_by": public_text(by, 300), "requested": now}
        rows = [
            {"candidate_id": id_, "revision": answers[id_].revision, "number": first + i, **request}
            for i, id_ in enumerate(ids)
        ]
        seals.insert(connection, schema.retries, rows)

    return write


def void_attempts(calls: Collection[tuple[int, int]], reason: str) -> Write[None]:
    """Return a write that declares oracle calls void, so that they count as not made; see ``Ledger.void_attempts``.

    Args:
        calls: the candidate and the number of each call.
        reason: the reason.
    """
    now = datetime.now(UTC)

    def write(connection: Connection, is_retry: bool) -> None:
        v = schema.void_attempts.c
        known = sa.select(v.candidate_id, v.number).where(v.candidate_id.in_([id_ for id_, _ in calls]))
        void = {(row.candidate_id, row.number) for row in connection.execute(known)}
        rows = [
            {"candidate_id": id_, "number": number, "reason": public_text(reason), "recorded": now}
            for id_, number in calls
            if (id_, number) not in void
        ]
        seals.insert(connection, schema.void_attempts, rows)

    return write
