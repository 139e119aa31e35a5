"""Recording what changed between two starts of a campaign."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.records import Change
from al_loop.ledger.schema import storable_text


def record_changes(changes: Sequence[Change]) -> Write[None]:
    """Return a write that records changes, all or nothing."""

    def write(connection: Connection, is_retry: bool) -> None:
        if is_retry and queries.exists(connection, schema.changes, changed=changes[0].changed, key=changes[0].key):
            return
        first = (queries.largest(connection, schema.changes.c.id) or 0) + 1
        rows = [
            {
                "id": first + i,
                "round": change.round,
                "kind": change.kind,
                "key": storable_text(change.key),
                "old": change.old,
                "new": change.new,
                "reason": storable_text(change.reason),
                "changed_by": storable_text(change.by),
                "changed": change.changed,
            }
            for i, change in enumerate(changes)
        ]
        seals.insert(connection, schema.changes, rows)

    return write
