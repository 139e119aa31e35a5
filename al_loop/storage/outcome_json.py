"""Outcomes as JSON, without their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from al_loop.oracles.base import Failure, Outcome


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as a mapping that ``json.dumps`` accepts; artifacts are omitted."""
    return asdict(replace(outcome, artifacts={}))


def outcome_from_json(row: Mapping[str, Any]) -> Outcome:
    """Return the outcome that ``outcome_to_json`` converted, without its artifacts."""
    return Outcome(
        values=None if row["values"] is None else tuple(row["values"]),
        failure=None if row["failure"] is None else Failure(**row["failure"]),
        cost=row["cost"],
        info=row["info"],
        noise=None if row["noise"] is None else tuple(row["noise"]),
    )
