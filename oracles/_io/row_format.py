"""The rows of names and values that programs and services answer with, read into Outcomes."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from al_loop.datafiles.cells import NO_VALUE, NumberNotation, failure_text
from al_loop.errors import ConfigError, counted
from al_loop.oracles.base import Failure, FailureKind, Fidelity, Objective, Outcome, as_outcome, current_call
from al_loop.system.plain_values import Bound

#: names in a row that no objective may have
RESERVED = ("object", "key", "values", "noise", "cost", "failure", "reason", "info", "artifacts")
_POINT = NumberNotation()
#: appended to an objective's name: the standard deviation of its value
NOISE_SUFFIX = "_std"


def named_objectives(objectives: Sequence[Objective | str]) -> tuple[Objective, ...]:
    """Return the objectives, given as Objectives or as bare names.

    Raises:
        ConfigError: there is none, or a name could be mistaken for that of another objective or of another column.
    """
    named = tuple(o if isinstance(o, Objective) else Objective(o) for o in objectives)
    names = [o.name for o in named]
    taken = {*RESERVED, *(name + NOISE_SUFFIX for name in names)}
    if not names or not all(names) or len(set(names)) < len(names) or set(names) & taken:
        raise ConfigError(
            f"objectives: {', '.join(names) or 'none'}; expected one or more distinct names, none of them "
            f"{', '.join(RESERVED)}, or another's name with {NOISE_SUFFIX}"
        )
    return named


def priced_fidelities(prices: Mapping[str, float] | None) -> tuple[Fidelity, ...]:
    """Return the fidelities, cheapest first, from the cost of a call at each.

    Raises:
        ConfigError: a name is empty, or a cost is negative or not finite.
    """
    for name, cost in (prices or {}).items():
        if not name or not 0 <= cost < float("inf"):
            raise ConfigError(f"fidelities: {name!r}: {cost}; expected a name and a cost of at least 0")
    return tuple(sorted((Fidelity(n, c) for n, c in (prices or {}).items()), key=lambda f: f.cost))


def call_keys(objects: Sequence[str]) -> dict[str, str]:
    """Return the idempotency key of each object: that of the current call, or a new unique one if it has none."""
    keys = current_call().keys
    return {name: keys.get(name) or uuid.uuid4().hex for name in objects}


def number(value: object, notation: NumberNotation = _POINT) -> float | None:
    """Convert a value to the number that it is or spells, or None if it is neither.

    Args:
        value: a number, or text.
        notation: how numbers are written as text.
    """
    if isinstance(value, str) and value.strip().casefold().lstrip("+-") not in ("nan", "inf", "infinity"):
        return notation.number(value)
    try:
        return None if value is None or isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def read_answer(
    row: Mapping[Any, Any],
    objectives: Sequence[Objective],
    artifacts: Mapping[str, bytes | str | Path] | None = None,
    lost: str = "",
    notation: NumberNotation = _POINT,
) -> Outcome:
    """Convert a row to an Outcome.

    Args:
        row: a value for each objective under its name, or all of them under ``values``; or a ``failure`` with its
            ``reason``. Optionally ``cost``; ``noise``, or ``<objective>_std`` for each; ``info``. All other entries
            become part of ``info``.
        objectives: the measured objectives.
        artifacts: files to store with the outcome.
        lost: the reason why some file cannot be stored.
        notation: how the row writes numbers as text.
    """
    names = [o.name for o in objectives]
    stds = [number(row.get(name + NOISE_SUFFIX), notation) for name in names]
    has_noise = None not in stds
    interpreted = {*RESERVED, *names, *(name + NOISE_SUFFIX for name in names if has_noise)}
    info: dict[str, object] = {k: v for k, v in row.items() if isinstance(k, str) and k not in interpreted}
    own_info = row.get("info")
    if isinstance(own_info, Mapping):
        info |= own_info
    elif own_info:
        info["info"] = own_info
    if lost:
        info["artifacts_lost"] = lost
    values, censored, failure = _values(row, names, notation)
    outcome = Outcome(
        values=None if failure else values,
        failure=failure,
        cost=number(row.get("cost"), notation),
        info=info,
        noise=cast(tuple[float, ...], stds) if has_noise else row.get("noise"),
        artifacts=artifacts or {},
        censored=None if failure else censored,
    )
    return as_outcome(outcome, len(names))


def _values(
    row: Mapping[Any, Any], names: Sequence[str], notation: NumberNotation
) -> tuple[tuple[float, ...], tuple[Bound | None, ...], Failure | None]:
    """Return the values by name or from ``values``, the sides of bounds, and the failure that a row states or has."""
    failure = _failure(row)
    if failure is not None:
        return (), (), failure
    listed = row.get("values")
    is_listed = listed is not None and not any(name in row for name in names)
    entries = listed if isinstance(listed, list | tuple) else [listed]
    if is_listed and len(entries) != len(names):
        return (), (), Failure("permanent", f"the answer has {counted(len(entries), 'value')}, expected {len(names)}")
    entries = entries if is_listed else [row.get(name) for name in names]
    has_others = is_listed or all(name in row for name in names)
    has_others = has_others and any(number(entry, notation) is not None for entry in entries)
    values, sides = list[float](), list[Bound | None]()
    for name, entry in zip(names, entries, strict=True):
        bound = notation.bound(entry) if isinstance(entry, str) else None
        side, value = (None, number(entry, notation)) if bound is None else bound
        if value is None and has_others and (entry is None or str(entry).strip().lower() in NO_VALUE):
            value = math.nan  # one of several that was not measured
        if value is None:
            fault = "; ".join(filter(None, notation.fault(entry))) if isinstance(entry, str) and entry else ""
            explanation = f" ({fault})" if fault else ""
            return (
                (),
                (),
                Failure("permanent", f"the answer is {entry!r:.80} for {name}, expected a number{explanation}"),
            )
        values.append(value)
        sides.append(side)
    return tuple(values), tuple(sides), None


def _failure(row: Mapping[Any, Any]) -> Failure | None:
    """Return the failure that a row reports: its kind with a ``reason`` beside it, or ``{kind: ..., reason: ...}``."""
    entry = row.get("failure")
    if entry is not None and not isinstance(entry, Mapping):
        entry = failure_text(str(entry))
    if entry is None or entry == {}:
        return None
    kind, reason = (
        (entry.get("kind"), entry.get("reason")) if isinstance(entry, Mapping) else (entry, row.get("reason"))
    )
    reason = str(reason or "no reason was given")
    if kind not in get_args(FailureKind):
        return Failure("permanent", f"{kind}: {reason}" if kind else reason)
    return Failure(cast(FailureKind, kind), reason)
