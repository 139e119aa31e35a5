"""Decisions about batches: vetoes, pins, approvals, and the end of the campaign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.errors import CampaignError
from al_loop.ledger import queries, rounds, schema, seals
from al_loop.ledger.database import Write
from al_loop.ledger.public_values import public_text
from al_loop.ledger.records import Candidate
from al_loop.ledger.schema import storable_text


def decide(
    number: int,
    *,
    vetoes: Mapping[int, str],
    pins: Mapping[str, str],
    approve: bool,
    by: str,
    reason: str = "",
    fidelity: str = "",
) -> Write[list[Candidate]]:
    """Return a write that records a person's decisions and returns the pinned candidates; see ``Ledger.decide``."""
    now = datetime.now(UTC)
    _require_reasons(vetoes, pins, by)

    def write(connection: Connection, is_retry: bool) -> list[Candidate]:
        c, d = schema.candidates.c, schema.decisions.c
        if is_retry and queries.exists(
            connection, schema.decisions, round=number, decided=now, decided_by=public_text(by, 300)
        ):
            pinned = sa.select(d.candidate_id).where(d.decided == now, d.action == "pin")
            return queries.candidates(connection, c.id.in_(pinned))
        if number != queries.last_round(connection):
            raise CampaignError(f"round {number} is not the last one; its batch was released and cannot be changed")
        if queries.is_approved(connection, number):
            raise CampaignError(f"round {number} was approved already; its batch was released and cannot be changed")
        _require_vetoable(connection, number, list(vetoes))
        _require_new(connection, list(pins), fidelity)
        ids = rounds.add_candidates(connection, list(pins), now, origin="pinned", fidelity=fidelity)
        rows: list[tuple[str, int | None, str]] = [("veto", id_, why) for id_, why in vetoes.items()]
        rows += [("pin", ids[name], why) for name, why in pins.items()]
        if approve:
            _require_something_to_measure(connection, number, vetoes)
            rows.append(("approve", None, reason))
        first = (queries.largest(connection, d.id) or 0) + 1
        who = {"round": number, "decided_by": public_text(by, 300), "decided": now}
        decided = [
            {"id": first + i, "candidate_id": candidate_id, "action": action, "reason": public_text(why), **who}
            for i, (action, candidate_id, why) in enumerate(rows)
        ]
        seals.insert(connection, schema.decisions, decided)
        return queries.candidates(connection, c.id.in_(list(ids.values())))

    return write


def _require_reasons(vetoes: Mapping[int, str], pins: Mapping[str, str], by: str) -> None:
    for subject, why in (*vetoes.items(), *pins.items()):
        if not why.strip():
            raise CampaignError(f"a reason is missing for {subject!s:.80}; it is stored with the decision")
    if not by.strip():
        raise CampaignError("the name of the person who decides is missing; it is stored with the decision")
    for name in pins:
        if not name or name != storable_text(name):
            raise CampaignError(f"object {name!r:.80} is not storable text")


def _require_vetoable(connection: Connection, number: int, ids: Sequence[int]) -> None:
    c = schema.candidates.c
    round_of = queries.pairs(connection, sa.select(c.id, c.round).where(c.id.in_(ids)))
    is_answered, n_attempts = queries.is_answered(connection, ids), queries.n_attempts(connection, ids)
    vetoed = queries.vetoed(connection, ids)
    for id_ in ids:
        if round_of.get(id_) != number:
            raise CampaignError(f"candidate {id_} is not in the batch of round {number}")
        if is_answered.get(id_) or n_attempts.get(id_):
            raise CampaignError(f"candidate {id_} is being measured or has an answer, so it cannot be vetoed")
        if id_ in vetoed:
            raise CampaignError(f"candidate {id_} was vetoed already")


def _require_new(connection: Connection, objects: Sequence[str], fidelity: str) -> None:
    c = schema.candidates.c
    hashes = [queries.sha256(name) for name in objects]
    query = sa.select(c.object).where(c.object_sha256.in_(hashes), c.fidelity == fidelity)
    name = connection.scalars(query).first()
    if name is not None:
        raise CampaignError(f"{name!r:.80} was proposed already, so it cannot be pinned")


def _require_something_to_measure(connection: Connection, number: int, vetoes: Mapping[int, str]) -> None:
    """Raise unless the ledger has an answer, or the batch has a candidate that is not vetoed."""
    if queries.exists(connection, schema.evaluations):
        return
    c = schema.candidates.c
    batch = connection.scalars(sa.select(c.id).where(c.round == number)).all()
    if not {*batch} - queries.vetoed(connection, batch) - {*vetoes}:
        raise CampaignError("every candidate is vetoed, so nothing would be measured; pin an object first")


def stop(reason: str) -> Write[None]:
    """Return a write that records why the campaign ends after the last round; it does nothing without a round."""
    now = datetime.now(UTC)

    def write(connection: Connection, is_retry: bool) -> None:
        number = queries.last_round(connection)
        row = {"round": number, "action": "stop", "reason": public_text(reason), "decided": now}
        if number is None or (is_retry and queries.exists(connection, schema.decisions, **row)):
            return
        id_ = (queries.largest(connection, schema.decisions.c.id) or 0) + 1
        seals.insert(connection, schema.decisions, [{"id": id_, **row, "decided_by": "al-loop"}])

    return write
