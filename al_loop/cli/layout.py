"""Output that fits the terminal: objects that are cut with a sign, and fields that wrap between words."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping

import typer

from al_loop.outgoing import one_line

_ELLIPSIS = "…"
_SMALLEST_WIDTH = 20


def terminal_width() -> int | None:
    """Return the columns of standard output: of the terminal, or as ``COLUMNS`` says; None for files and pipes."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, _SMALLEST_WIDTH)
    return None


def cut(text: str, width: int | None) -> str:
    """Return a text that fits a width, with an ellipsis where its end is missing.

    Args:
        text: such as a SMILES string, which must not be broken across lines.
        width: number of columns; None for any.
    """
    text = one_line(text)
    if width is None or len(text) <= width:
        return text
    return text[: max(width - 1, 0)] + _ELLIPSIS


def print_fields(fields: Mapping[str, str]) -> None:
    """Print names and texts in two aligned columns; on a terminal, long texts wrap between words.

    Args:
        fields: the text of each name.
    """
    indent = max(map(len, fields)) + 2
    width = terminal_width()
    for name, text in ((name, one_line(text)) for name, text in fields.items()):
        typer.secho(name.ljust(indent), bold=True, nl=False)
        typer.echo(_wrapped(text, width, indent))


def _wrapped(text: str, width: int | None, indent: int) -> str:
    if width is None or len(text) <= width - indent:
        return text
    room = max(width - indent, _SMALLEST_WIDTH // 2)
    return f"\n{' ' * indent}".join(textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False))
