"""Opening and closing rounds, and adding candidates to the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError
from al_loop.ledger import queries, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_json
from al_loop.ledger.records import Candidate, Proposal
from al_loop.ledger.schema import finite_or_none, storable_text


def open_round(
    number: int, batch: Sequence[Proposal], *, seed: int, seconds: Mapping[str, float], info: Mapping[str, Any]
) -> Write[list[Candidate]]:
    """Return a write that records a round and its batch and returns its candidates.

    Args:
        number: the round, which must be the next one.
        batch: the proposals.
        seed: the round's seed.
        seconds: the duration of each phase before the batch, by name.
        info: further details of the batch (JSON types).

    Raises:
        CampaignError: the batch is empty, has an object twice, or an object is not storable text.
    """
    if not batch:
        raise CampaignError(f"round {number}: the batch is empty")
    now = datetime.now(UTC)
    hashes = [queries.sha256(p.object) for p in batch]
    keys = [(key, p.fidelity, p.replicate) for key, p in zip(hashes, batch, strict=True)]
    if len(set(keys)) < len(keys):
        duplicate = next(p.object for i, p in enumerate(batch) if keys[i] in keys[:i])
        raise CampaignError(f"round {number}: {duplicate!r:.80} is in the batch twice")
    for proposal in batch:
        if proposal.object != storable_text(proposal.object):
            raise CampaignError(f"round {number}: object {proposal.object!r:.80} is not storable text")

    def write(connection: Connection, is_retry: bool) -> list[Candidate]:
        c = schema.candidates.c
        if is_retry and queries.exists(connection, schema.rounds, number=number, opened=now):
            return queries.candidates(connection, c.round == number)
        if not queries.exists(connection, schema.campaign):
            raise CampaignError(f"round {number}: the ledger has no campaign yet; call begin_campaign first")
        last = queries.last_round(connection)
        expected = 0 if last is None else last + 1
        if number != expected:
            raise CampaignError(f"round {number} cannot be opened; the next round of this ledger is {expected}")
        query = sa.select(c.object_sha256, c.fidelity, c.replicate, c.object).where(c.object_sha256.in_(hashes))
        # with much earlier data, the first batch has more objects than a query may have variables
        rows = connection.execute(query).all() if number else []
        earlier = [name for *key, name in rows if tuple(key) in keys]
        if earlier:
            names = ", ".join(f"{o!r:.80}" for o in earlier[:3])
            raise CampaignError(f"round {number}: proposed in an earlier round already: {names}")
        first = queries.largest(connection, c.id) or 0
        candidates = [
            Candidate(
                id=first + 1 + position,
                round=number,
                position=position,
                object=p.object,
                origin=p.origin,
                predicted_mean=finite_or_none(p.predicted_mean),
                predicted_std=finite_or_none(p.predicted_std),
                acquisition=finite_or_none(p.acquisition),
                fidelity=p.fidelity,
                details=None if p.details is None else public_json(p.details),
                replicate=p.replicate,
            )
            for position, p in enumerate(batch)
        ]
        row = {"number": number, "opened": now, "seed": seed, "seconds": seconds, "info": info}
        seals.insert(connection, schema.rounds, [row])
        _insert(connection, candidates, hashes, now)
        return candidates

    return write


def close_round(number: int, *, metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> Write[None]:
    """Return a write that records the report of a round.

    Args:
        number: the round.
        metrics: its metrics (JSON types).
        seconds: the duration of each phase after the batch, by name.
    """
    now = datetime.now(UTC)

    def write(connection: Connection, is_retry: bool) -> None:
        reports = schema.round_reports
        if is_retry and queries.exists(connection, reports, round=number, closed=now):
            return
        if not queries.exists(connection, schema.rounds, number=number):
            raise CampaignError(f"round {number} cannot be closed: it was never opened")
        if queries.exists(connection, reports, round=number):
            raise CampaignError(f"round {number} is closed already")
        row = {"round": number, "closed": now, "metrics": metrics, "seconds": seconds}
        seals.insert(connection, reports, [row])

    return write


def add_candidates(
    connection: Connection,
    objects: Sequence[str],
    now: datetime,
    *,
    origin: str,
    fidelity: str = "",
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, int]:
    """Add candidates that the campaign did not propose to the last round.

    Args:
        connection: a connection in a write transaction.
        objects: the objects.
        now: the time of the addition.
        origin: ``told``, ``pinned`` or ``imported``.
        fidelity: the fidelity of their measurements.
        details: what is known about objects beside their structure, by object.

    Returns:
        The id of each object.

    Raises:
        CampaignError: there is no round yet.
    """
    if not objects:
        return {}
    c = schema.candidates.c
    last = queries.last_round(connection)
    if last is None:
        raise CampaignError("the ledger has no round yet, so candidates cannot be added to it")
    position = (queries.largest(connection, c.position, c.round == last) or 0) + 1
    id_ = (queries.largest(connection, c.id) or 0) + 1
    rows = [
        Candidate(
            id_ + i, last, position + i, name, origin, fidelity=fidelity, details=public_json((details or {}).get(name))
        )
        for i, name in enumerate(objects)
    ]
    _insert(connection, rows, [queries.sha256(name) for name in objects], now)
    return {row.object: row.id for row in rows}


def _insert(connection: Connection, candidates: Sequence[Candidate], hashes: Sequence[str], now: datetime) -> None:
    rows = zip(candidates, hashes, strict=True)
    seals.insert(
        connection, schema.candidates, [asdict(row) | {"object_sha256": key, "created": now} for row, key in rows]
    )
