"""Every promise names the tests that hold it, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line for line in PROMISES.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| ---"))]


def test_every_promise_names_tests_that_exist() -> None:
    assert len(ROWS) > 15
    for row in ROWS:
        names = re.findall(r"`([\w/]+\.py)`", row.rpartition(" | ")[2])
        assert names, row
        for name in names:
            path = ROOT / name if name.startswith("benchmarks/") else ROOT / "tests" / name
            assert path.is_file(), name
            assert name.startswith("benchmarks/") or "def test_" in path.read_text(encoding="utf-8"), name


def test_what_is_not_promised_is_said() -> None:
    section = PROMISES.partition("## Not promised")[2]
    assert {"network file system", "memory", "Forgers"} <= {
        word for word in ("network file system", "memory", "Forgers") if word in section
    }
