"""The code of docs/python.md and of the README's section about notebooks works as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_code_of_the_page_runs_in_one_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells: dict[str, object] = {"__name__": "notebook"}
    for block in _blocks("docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), cells)
    campaign, lab = cells["campaign"], cells["lab"]
    assert len(campaign.evaluations) == 24  # type: ignore[attr-defined]
    assert len(lab.evaluations) == 4  # type: ignore[attr-defined]


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = next(b for b in _blocks("README.md") if "al_loop.campaign(" in b)
    small = 'overrides=["rounds={initial: 4, batch_size: 2, count: 0}", "environment.max_fragments=2"], oracle='
    cells: dict[str, object] = {"__name__": "notebook"}
    exec(compile(block.replace("oracle=", small), "README.md", "exec"), cells)
    assert len(cells["campaign"].evaluations) == 4  # type: ignore[attr-defined]
