"""Recording what changed between two starts of a campaign."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_text
from al_loop.ledger.records import Change
from al_loop.outgoing import redacted


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
                "key": public_text(change.key),
                "old": redacted(change.old, change.key.rpartition(".")[2]),
                "new": redacted(change.new, change.key.rpartition(".")[2]),
                "reason": public_text(change.reason),
                "changed_by": public_text(change.by, 300),
                "changed": change.changed,
            }
            for i, change in enumerate(changes)
        ]
        seals.insert(connection, schema.changes, rows)

    return write
