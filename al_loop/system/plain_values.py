"""Conversions of what user code returns to plain numbers, JSON types and bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

#: a value of which only this is known: that it is below or above the number
Bound = Literal["<", ">"]
#: the largest magnitude of a value or its noise that models can learn from; squares and volumes stay finite
LARGEST = 1e50


def is_learnable(value: float) -> bool:
    """Return whether a model can learn from a value."""
    return abs(value) <= LARGEST


def numbers(answer: object) -> tuple[float, ...]:
    """Convert an answer, a sequence or array of numbers or a single one, to floats.

    In a sequence of several, None stands for NaN, a value that was not measured.

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
    if len(entries) > 1:
        entries = [math.nan if entry is None else entry for entry in entries]
    return tuple(float(entry) + 0.0 for entry in entries)  # 0.0 in place of -0.0


def shown(value: object, length: int = 200) -> str:
    """Return the representation of any value, also where computing it raises.

    Args:
        value: the value.
        length: largest number of characters.
    """
    try:
        return repr(value)[:length]
    except Exception as error:  # a number of more than 4300 digits, or a user's own __repr__
        return f"<{type(value).__name__}, whose text cannot be had: {type(error).__name__}>"[:length]


def text_of(value: object) -> str:
    """Return the text of any value, also where computing it raises."""
    try:
        return str(value)
    except Exception:
        return shown(value)


def json_info(info: Mapping[str, object]) -> dict[str, object]:
    """Return ``info`` as JSON types; a value that is not JSON becomes a number or text, never an error."""
    entries: dict[str, object] = {}
    try:
        pairs = list(info.items())
    except Exception as error:
        return {"info_lost": f"info cannot be read: {type(error).__name__}"}
    for key, value in pairs:
        name = text_of(key)
        try:
            plain = value.item() if hasattr(value, "item") else value
            entries[name] = json.loads(json.dumps(plain, allow_nan=False))
        except Exception:
            entries[name] = shown(value)
    return entries


def cost_or_none(cost: object) -> float | None:
    """Return a cost as a float; None if it is not a finite number of at least 0, and a possible one."""
    try:
        number = math.nan if cost is None else float(cost)  # type: ignore[arg-type]
    except Exception:
        return None
    return number if is_learnable(number) and number >= 0 else None


def noise_or_none(noise: object, values: Sequence[float]) -> tuple[float, ...] | None:
    """Return the standard deviation of each value, NaN where the value is NaN; None if one is not at least 0.

    Args:
        noise: standard deviations in any form.
        values: the values.
    """
    try:
        stds = numbers(noise)
    except Exception:
        return None
    if len(stds) != len(values):
        return None
    stds = tuple(math.nan if math.isnan(value) else std for value, std in zip(values, stds, strict=True))
    is_valid = all(math.isnan(v) or (math.isfinite(s) and s >= 0) for v, s in zip(values, stds, strict=True))
    return stds if is_valid else None


def bounds_or_none(censored: object, values: Sequence[float]) -> tuple[Bound | None, ...] | None:
    """Return which of some values are only bounds; None if none is.

    Args:
        censored: "<", ">" or None for each value, in any form; None if all values are exact.
        values: the values, NaN for one that was not measured.

    Raises:
        ValueError: there is not one entry for each value, or one is unknown.
    """
    if censored is None:
        return None
    entries = tuple(censored) if isinstance(censored, Sequence) else (censored,)
    if len(entries) != len(values) or not all(entry in (None, "", "<", ">") for entry in entries):
        raise ValueError(f"censored: {shown(censored, 80)}; expected '<', '>' or None for each of {len(values)} values")
    bounds = tuple(None if math.isnan(value) else entry or None for entry, value in zip(entries, values, strict=True))
    return bounds if any(bounds) else None


def artifact_contents(artifacts: Mapping[str, bytes | str | Path], info: dict[str, object]) -> dict[str, bytes]:
    """Read the content of each file; note in ``info`` what cannot be read, since that is no reason to lose a value."""
    contents = {}
    try:
        entries = dict(artifacts)
    except Exception:
        entries = {}
        info["artifacts_lost"] = f"{shown(artifacts)} is not a mapping of file names to contents"
    for name, content in entries.items():
        try:
            if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\\0"):
                raise ValueError(f"{shown(name, 80)} is not a plain file name")
            if isinstance(content, Path):
                content = content.read_bytes()
            contents[name] = content.encode() if isinstance(content, str) else bytes(memoryview(content))
        except Exception as error:
            info["artifacts_lost"] = f"{shown(name, 80)}: {text_of(error)}"
    return contents
