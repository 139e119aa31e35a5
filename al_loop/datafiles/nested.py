"""Conversion of nested mappings to flat ones, for tables and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a mapping without nested mappings, with keys like ``section.key``.

    Args:
        content: a mapping, whose values may be mappings.
        prefix: prepended to each key.
    """
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
