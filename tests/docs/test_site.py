"""The documentation site builds without a warning, and its tutorials work as written."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from al_loop.config import parse_config, plugins

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def file_name(block: str) -> str | None:
    match = re.match(r"# ([\w./]+\.(?:py|yaml))\n", block)
    return match.group(1) if match else None


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_configs_of_a_tutorial_are_valid(page):
    for language, block in blocks(page):
        if language == "yaml":
            config = yaml.safe_load(block)
            rest = {"name": "x", "environment": {"kind": "fragments"}, "oracle": {"kind": "human"}}
            parse_config({**rest, **config, "oracle": {"kind": "human"}})  # the others' files are on the page


def test_every_part_that_the_guide_to_choosing_names_exists():
    kinds = {info.kind for room in plugins.ROOMS for info in plugins.built_in(room)}
    rows = [line for line in (DOCS / "choosing.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[2])}
    assert named - kinds <= {"transform", "initial_data"}
    assert len(named) > 20


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "doctrees"), str(DOCS)]
    done = subprocess.run([*command, str(tmp_path / "html")], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "html").rglob("*.html")}
    assert {"index.html", "config.html", "commands.html", "first_campaign.html"} <= {path.name for path in pages}
    for path, text in pages.items():
        for target in re.findall(r'(?:href|src)="([^"#?]+)', text):
            if not re.match(r"[a-z]+:", target):
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)', text)
        loaded += re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="(https?:[^"]+)', text)
        assert not loaded, f"{path.name} loads {loaded}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in TUTORIALS if page.stem != "cluster"], ids=lambda page: page.stem)
def test_a_tutorial_works_as_written(page, tmp_path):
    for language, block in blocks(page):
        name = file_name(block)
        if name is not None:
            (tmp_path / name).write_text(block)
        elif language == "python":
            run([sys.executable, "-c", block], tmp_path)
        elif language == "console":
            for line in block.splitlines():
                assert line.startswith("$ ")
                program, *arguments = shlex.split(line.removeprefix("$ "))
                module = ["-m", "al_loop"] if program == "al-loop" else []
                run([sys.executable, *module, *arguments], tmp_path, waits=arguments == ["run", "lab.yaml"])


def run(command: list[str], folder: Path, waits: bool = False) -> None:
    """Run a command; one that waits for people is interrupted as soon as it says so."""
    process = subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if waits and "al-loop ask" in line:
            process.send_signal(signal.SIGINT)
    code = process.wait()
    assert code == 0 or (waits and code == 130), f"{shlex.join(command)}\n{''.join(lines)}"
