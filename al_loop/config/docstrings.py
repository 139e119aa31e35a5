"""Descriptions of arguments, read from the ``Args`` section of a docstring."""

from __future__ import annotations

import inspect
import re
from typing import Any

_SECTION = re.compile(r"^\s*(Args|Arguments|Attributes|Parameters):\s*$", re.MULTILINE)
_ENTRY = re.compile(r"^(?P<indent> +)\*{0,2}(?P<name>\w+)(?: *\([^)]*\))?: +(?P<text>.*)$")


def argument_descriptions(factory: Any) -> dict[str, str]:
    """Return the description of each argument of a class or function, by name.

    Args:
        factory: a class, whose docstring or constructor's docstring has an ``Args`` section, or a function.
    """
    places = [factory]
    if inspect.isclass(factory):  # a base class explains the arguments that it takes
        places = [place for base in factory.__mro__[:-1] for place in (base, base.__dict__.get("__init__"))]
    entries: dict[str, str] = {}
    for place in places:
        entries = _entries(inspect.cleandoc(getattr(place, "__doc__", None) or "")) | entries
    return entries


def _entries(text: str) -> dict[str, str]:
    section = _SECTION.search(text)
    if section is None:
        return {}
    entries: dict[str, list[str]] = {}
    depth: int | None = None
    name = ""
    for line in text[section.end() :].splitlines():
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        match = _ENTRY.match(line)
        if match and (depth is None or indent <= depth):
            depth, name = indent, match["name"]
            entries[name] = [match["text"]]
        elif name:
            entries[name].append(line.strip())
    return {key: " ".join(lines).replace("``", "`") for key, lines in entries.items()}
