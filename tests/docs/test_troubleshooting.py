"""Every message that the page on troubleshooting quotes exists in the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
MESSAGES = re.findall(r"^- `([^`]+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
GAP = "…"


@cache
def source_text() -> str:
    """Return every text in the code, with a gap for each value that is filled in."""
    files = [file for folder in ("al_loop", "oracles", "actors") for file in (ROOT / folder).rglob("*.py")]
    return "\n".join(text for file in files for text in texts(ast.parse(file.read_text(encoding="utf-8"))))


def texts(tree: ast.AST) -> list[str]:
    """Return the texts of a module; the pieces of an f-string stay together, with those of texts filled into it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


def test_the_page_has_messages_and_each_has_a_remedy() -> None:
    assert len(MESSAGES) > 50
    assert len(set(MESSAGES)) == len(MESSAGES)
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for line, after in pairwise(lines):
        if line.startswith("- `"):
            assert re.fullmatch(r"- `[^`]+`", line), line
            assert after.startswith("  "), f"no remedy below {line}"


@pytest.mark.parametrize("message", MESSAGES)
def test_every_quoted_message_is_in_the_code(message: str) -> None:
    fragments = [fragment.strip(" ") for fragment in message.split(GAP)]
    long_ones = [fragment for fragment in fragments if len(fragment) >= 4]
    assert long_ones, "only gaps"
    for fragment in long_ones:
        assert fragment in source_text(), f"{fragment!r} is in no text of the code"
    assert any(len(fragment) >= 10 for fragment in long_ones)


@pytest.mark.parametrize("file", ["README.md", "docs/oracles.md"])
def test_the_page_is_linked(file: str) -> None:
    assert "troubleshooting.md" in (ROOT / file).read_text(encoding="utf-8")
