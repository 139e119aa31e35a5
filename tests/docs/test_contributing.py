"""The walk through five parts in CONTRIBUTING.md works as written, from a folder outside the project."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = {
    block.splitlines()[0].removeprefix("# "): block
    for block in re.findall(r"^```(?:python|yaml)\n(.*?)^```", GUIDE, flags=re.DOTALL | re.MULTILINE)
}
PARTS = [name for name in BLOCKS if name.endswith(".py") and not name.startswith("test_")]


@pytest.fixture
def folder(tmp_path):
    for name, block in BLOCKS.items():
        (tmp_path / name).write_text(block)
    return tmp_path


def run(folder, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_five_parts_are_shown_each_of_fewer_than_20_lines():
    assert PARTS == ["primers.py", "melting.py", "stock_gp.py", "curiosity.py", "lottery.py"]
    code = {name: [line for line in BLOCKS[name].splitlines()[1:] if line.strip()] for name in PARTS}
    assert {name: len(lines) for name, lines in code.items() if len(lines) >= 20} == {}


def test_a_campaign_of_all_five_is_valid_and_runs(folder):
    assert "parts.yaml is valid" in run(folder, "-m", "al_loop", "check", "parts.yaml")
    run(folder, "-m", "al_loop", "run", "parts.yaml", "--quiet")
    answers = "import al_loop; run = al_loop.open_run('runs/parts'); print(*run.evaluations['object'])"
    words = run(folder, "-c", answers).split()
    assert len(words) == 6 + 2 * 4
    assert not any(a == b for word in words for a, b in pairwise(word))


def test_the_parts_keep_their_contracts(folder):
    report = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_parts.py")
    assert re.search(r"^\d\d+ passed", report, flags=re.MULTILINE), report


def test_the_named_classes_and_files_exist():
    for name in re.findall(r"`(al_loop\.[\w.]+\.\w+)`", GUIDE):
        module, _, attribute = name.rpartition(".")
        if attribute[0].isupper():
            assert hasattr(__import__(module, fromlist=[attribute]), attribute), name
    for path in re.findall(r"`((?:docs|tests)/[\w./]+)`", GUIDE):
        assert (ROOT / path).exists() or "schema_5" in path, path  # the example of a next schema


def test_the_config_names_the_five_parts():
    sections = [section for section in yaml.safe_load(BLOCKS["parts.yaml"]).values() if isinstance(section, dict)]
    modules = {section["target"].partition(":")[0] for section in sections if "target" in section}
    assert {f"{module}.py" for module in modules} == set(PARTS)
