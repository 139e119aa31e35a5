"""Conversions of what user code returns to plain numbers, JSON types and bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path


def numbers(answer: object) -> tuple[float, ...]:
    """Convert an answer, a sequence or array of numbers or a single one, to floats.

    Raises:
        TypeError, ValueError, OverflowError: it is not that.
    """
    if isinstance(answer, str | bytes | Mapping | set | frozenset):
        raise TypeError("text and unordered collections are not numbers")
    try:
        entries = list(answer)  # type: ignore[call-overload]
    except TypeError:  # a number, or an array without dimensions
        entries = [answer]
    if any(isinstance(entry, str | bytes) for entry in entries):
        raise TypeError("text is not a number")
    return tuple(float(entry) for entry in entries)


def json_info(info: Mapping[str, object]) -> dict[str, object]:
    """Return ``info`` as JSON types; a value that is not JSON becomes a number or text, never an error."""
    entries = {}
    for key, value in info.items():
        try:
            plain = value.item() if hasattr(value, "item") else value
            entries[str(key)] = json.loads(json.dumps(plain, allow_nan=False))
        except Exception:
            entries[str(key)] = f"{value!r:.200}"
    return entries


def cost_or_none(cost: object) -> float | None:
    """Return a cost as a float; None if it is not a finite number of at least 0."""
    try:
        number = math.nan if cost is None else float(cost)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def noise_or_none(noise: object, n_values: int) -> tuple[float, ...] | None:
    """Return a standard deviation for each of some values; None if they are not finite numbers of at least 0."""
    try:
        stds = numbers(noise)
    except (TypeError, ValueError, OverflowError):
        return None
    return stds if len(stds) == n_values and all(math.isfinite(s) and s >= 0 for s in stds) else None


def artifact_contents(artifacts: Mapping[str, bytes | str | Path], info: dict[str, object]) -> dict[str, bytes]:
    """Read the content of each file; note in ``info`` what cannot be read, since that is no reason to lose a value."""
    contents = {}
    try:
        entries = dict(artifacts)
    except (TypeError, ValueError):
        entries = {}
        info["artifacts_lost"] = f"{artifacts!r:.200} is not a mapping of file names to contents"
    for name, content in entries.items():
        try:
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"{name!r:.80} is not a plain file name")
            if isinstance(content, Path):
                content = content.read_bytes()
            contents[name] = content.encode() if isinstance(content, str) else bytes(memoryview(content))
        except (OSError, TypeError, ValueError) as error:
            info["artifacts_lost"] = f"{name!r:.80}: {error}"
    return contents
