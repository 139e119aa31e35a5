"""Outcomes as JSON, without their artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from al_loop.oracles.base import Failure, Outcome


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as a mapping that ``json.dumps`` accepts; artifacts are omitted."""
    row = asdict(replace(outcome, artifacts={}))
    return row | {key: None if row[key] is None else [_none_if_nan(v) for v in row[key]] for key in ("values", "noise")}


def outcome_from_json(row: Mapping[str, Any]) -> Outcome:
    """Return the outcome that ``outcome_to_json`` converted, without its artifacts."""
    return Outcome(
        values=_floats(row["values"]),
        failure=None if row["failure"] is None else Failure(**row["failure"]),
        cost=row["cost"],
        info=row["info"],
        noise=_floats(row["noise"]),
        censored=None if row.get("censored") is None else tuple(row["censored"]),
    )


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def _floats(values: Sequence[float | None] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(math.nan if v is None else v for v in values)
