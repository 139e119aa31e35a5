"""What programs and services are told and answer: rows of names and values, read into Outcomes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from al_loop.errors import ConfigError
from al_loop.oracles.base import Failure, FailureKind, Fidelity, Objective, Outcome, as_outcome, current_call

#: names in a row that are no objective's
RESERVED = ("object", "key", "values", "noise", "cost", "failure", "reason", "info", "artifacts")
#: added to an objective's name: the standard deviation of its value
NOISE_SUFFIX = "_std"


def named_objectives(objectives: Sequence[Objective | str]) -> tuple[Objective, ...]:
    """The objectives, of which names alone will do.

    Raises:
        ConfigError: there is none, or their names could be mistaken for each other's or for another column.
    """
    made = tuple(o if isinstance(o, Objective) else Objective(o) for o in objectives)
    names = [o.name for o in made]
    taken = {*RESERVED, *(name + NOISE_SUFFIX for name in names)}
    if not names or not all(names) or len(set(names)) < len(names) or set(names) & taken:
        raise ConfigError(
            f"objectives: {', '.join(names) or 'none'}: give one or more different names, none of them "
            f"{', '.join(RESERVED)}, or another's with {NOISE_SUFFIX}"
        )
    return made


def priced_fidelities(prices: Mapping[str, float] | None) -> tuple[Fidelity, ...]:
    """The fidelities, the cheapest first, from what a call costs at each.

    Raises:
        ConfigError: a name is empty, or a price is not a cost.
    """
    for name, cost in (prices or {}).items():
        if not name or not 0 <= cost < float("inf"):
            raise ConfigError(f"fidelities: {name!r}: {cost}: expected a name, and a cost of 0 or more")
    return tuple(sorted((Fidelity(n, c) for n, c in (prices or {}).items()), key=lambda f: f.cost))


def call_keys(objects: Sequence[str]) -> dict[str, str]:
    """The idempotency key of each object: the call's, or one that nobody else has where it states none."""
    stated = current_call().keys
    return {name: stated.get(name) or uuid.uuid4().hex for name in objects}


def number(value: object) -> float | None:
    """The number that a value is or spells."""
    try:
        return None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def read_answer(
    row: Mapping[Any, Any],
    objectives: Sequence[Objective],
    artifacts: Mapping[str, bytes | str | Path] | None = None,
    lost: str = "",
) -> Outcome:
    """The Outcome that a row tells.

    Args:
        row: a value for each objective under its name, or all of them under ``values``; or a ``failure`` with its
            ``reason``. Beside them ``cost``; ``noise``, or ``<objective>_std`` for each; ``info``. All other entries
            are kept as facts.
        objectives: what is measured.
        artifacts: files to keep.
        lost: why some file cannot be kept.
    """
    names = [o.name for o in objectives]
    stds = [number(row.get(name + NOISE_SUFFIX)) for name in names]
    has_noise = None not in stds
    known = {*RESERVED, *names, *(name + NOISE_SUFFIX for name in names if has_noise)}
    info: dict[str, object] = {k: v for k, v in row.items() if isinstance(k, str) and k not in known}
    said = row.get("info")
    if isinstance(said, Mapping):
        info |= said
    elif said:
        info["info"] = said
    if lost:
        info["artifacts_lost"] = lost
    failure = _failure(row)
    values: list[float] = []
    if failure is None:
        given = row.get("values")
        together = given is not None and not any(name in row for name in names)
        listed = given if isinstance(given, list | tuple) else [given]
        for name, raw in zip(names, listed if together else map(row.get, names), strict=False):
            value = number(raw)
            if value is None:
                failure = Failure("permanent", f"the answer is {raw!r:.80} for {name}, expected a number")
                break
            values.append(value)
        if together and len(listed) != len(names):
            failure = Failure("permanent", f"the answer has {len(listed)} values, expected {len(names)}")
    outcome = Outcome(
        values=None if failure else tuple(values),
        failure=failure,
        cost=number(row.get("cost")),
        info=info,
        noise=cast(tuple[float, ...], stds) if has_noise else row.get("noise"),
        artifacts=artifacts or {},
    )
    return as_outcome(outcome, len(names))


def _failure(row: Mapping[Any, Any]) -> Failure | None:
    """What a row says went wrong, as a word with a ``reason`` beside it or as ``{kind: ..., reason: ...}``."""
    said = row.get("failure")
    if not said:
        return None
    kind, reason = (said.get("kind"), said.get("reason")) if isinstance(said, Mapping) else (said, row.get("reason"))
    reason = str(reason or "no reason was stated")
    if kind not in get_args(FailureKind):
        return Failure("permanent", f"{kind}: {reason}")
    return Failure(cast(FailureKind, kind), reason)
