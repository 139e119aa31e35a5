"""Recording earlier measurements, which the campaign did not make and which cost nothing of its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from al_loop.ledger import queries, rounds, schema
from al_loop.ledger.answers import answer_row, insert_answers
from al_loop.ledger.database import Write
from al_loop.ledger.records import Candidate, Import, Proposal


def open_first_round(
    imports: Sequence[Import],
    batch: Sequence[Proposal],
    n_values: int,
    *,
    seed: int,
    seconds: Mapping[str, float],
    info: Mapping[str, Any],
) -> Write[list[Candidate]]:
    """Return a write that opens round 0 with earlier measurements and a batch; see ``Ledger.open_first_round``."""
    earlier = [Proposal(i.object, queries.IMPORTED, fidelity=i.fidelity, details=i.details) for i in imports]
    open_round = rounds.open_round(0, [*earlier, *batch], seed=seed, seconds=seconds, info=info)
    answers = [answer_row(i.answer, n_values) for i in imports]

    def write(connection: Connection, is_retry: bool) -> list[Candidate]:
        candidates = open_round(connection, is_retry)
        if not is_retry or not queries.n_answers(connection):
            rows = zip(answers, candidates, strict=False)
            insert_answers(connection, [a | {"candidate_id": c.id, "attempts": 0, "revision": 0} for a, c in rows])
        return candidates[len(imports) :]

    return write


def add_imports(imports: Sequence[Import], n_values: int) -> Write[list[str]]:
    """Return a write that adds earlier measurements to the last round; see ``Ledger.add_imports``."""
    rows = {(i.object, i.fidelity): (i, answer_row(i.answer, n_values)) for i in imports}
    now = datetime.now(UTC)

    def write(connection: Connection, is_retry: bool) -> list[str]:
        stamp = {key: next(iter(rows.values()))[1][key] for key in ("worker", "started", "finished")}
        if is_retry and queries.exists(connection, schema.evaluations, **stamp):
            return [name for name, _ in rows]
        c = schema.candidates.c
        names = [name for name, _ in rows]
        query = sa.select(c.object, c.fidelity, c.id).where(c.replicate == 0)
        query = query.where(c.object_sha256.in_(map(queries.sha256, names)))
        ids = {(name, fidelity): id_ for name, fidelity, id_ in connection.execute(query)}
        is_answered = queries.is_answered(connection, list(ids.values()))
        vetoed = queries.vetoed(connection, list(ids.values()))
        begun = queries.n_attempts(connection, list(ids.values()))
        is_closed = {key: is_answered[id_] or id_ in vetoed or id_ in begun for key, id_ in ids.items()}
        new = [key for key in rows if key not in ids]
        for fidelity in dict.fromkeys(fidelity for _, fidelity in new):
            objects = [name for name, level in new if level == fidelity]
            details = {n: d for n in objects if (d := rows[n, fidelity][0].details) is not None}
            added = rounds.add_candidates(
                connection, objects, now, origin=queries.IMPORTED, fidelity=fidelity, details=details
            )
            ids |= {(name, fidelity): id_ for name, id_ in added.items()}
        accepted = [key for key in rows if not is_closed.get(key, False)]
        insert_answers(
            connection,
            [rows[key][1] | {"candidate_id": ids[key], "attempts": 0, "revision": 0} for key in accepted],
        )
        return [name for name, _ in accepted]

    return write
