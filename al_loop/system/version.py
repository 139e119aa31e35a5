"""The version of this al-loop."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_LINE = re.compile(r'^name = "al-loop"\nversion = "([^"]+)"', re.MULTILINE)


@cache
def version() -> str:
    """Return the version of al-loop: the checkout's that this code is in, else that of the installed package.

    What an editable installation says of itself is as old as the installation, whereas its code is the checkout's.
    """
    try:
        found = _LINE.search(_PROJECT.read_text(encoding="utf-8"))
    except OSError:
        found = None
    try:
        return found.group(1) if found else metadata.version("al-loop")
    except metadata.PackageNotFoundError:
        return "unknown"
