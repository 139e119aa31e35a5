"""Recording a campaign and the starts of its process."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import ConfigError
from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_text
from al_loop.oracles.base import Objective
from al_loop.outgoing import redacted


def begin_campaign(
    ledger: str,
    *,
    name: str,
    config: Mapping[str, Any],
    fingerprint: str,
    seed: int,
    objectives: Sequence[Objective],
    versions: Mapping[str, str],
) -> Write[bool]:
    """Return a write that records the campaign, if it is new, and this start of its process.

    Args:
        ledger: the ledger's name, for messages.
        name: the campaign's name.
        config: its config.
        fingerprint: a hash of the settings that must not change between starts.
        seed: its seed.
        objectives: the values that its oracle measures.
        versions: the versions of the packages involved.

    Returns:
        A write that returns whether the campaign is new; it raises ConfigError if the ledger has a different one.
    """
    now = datetime.now(UTC)
    settings = {
        "config": redacted(schema.clean_json(config)),
        "seed": int(seed),
        "objectives": [asdict(o) for o in objectives],
    }
    session = {
        "started": now,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "versions": dict(versions),
        "command": public_text(" ".join(sys.argv)),
        "config": settings["config"],
    }

    def write(connection: Connection, is_retry: bool) -> bool:
        row = connection.execute(sa.select(schema.campaign)).one_or_none()
        if row is None:
            identity = {"id": 1, "uid": uuid.uuid4().hex, "name": name, "fingerprint": fingerprint, "created": now}
            seals.insert(connection, schema.campaign, [{**identity, **settings}])
        elif row.fingerprint != fingerprint:
            raise ConfigError(_another_campaign(ledger, row, settings))
        if is_retry and queries.exists(
            connection, schema.sessions, started=now, host=session["host"], pid=session["pid"]
        ):  # the first try was committed
            return bool(row is not None and row.created == now)
        id_ = (queries.largest(connection, schema.sessions.c.id) or 0) + 1
        seals.insert(connection, schema.sessions, [{"id": id_, **session}])
        return row is None

    return write


def _another_campaign(ledger: str, row: Any, settings: Mapping[str, Any]) -> str:
    old, new = row.config, settings["config"]
    differing = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    differing += [key for key in ("seed", "objectives") if getattr(row, key) != settings[key] and key not in differing]
    reason = f"different: {', '.join(differing)}" if differing else "the same config, but different code or data"
    return (
        f"ledger {ledger}: belongs to another campaign, {row.name!r} ({reason}); "
        "start this one with another --run-dir, or continue that one with its own config"
    )
