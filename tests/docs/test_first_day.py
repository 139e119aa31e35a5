"""The diary of a first day is short, and its commands and options exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from al_loop.cli.app import app

ROOT = Path(__file__).parents[2]
DIARY = (ROOT / "docs" / "first_day.md").read_text(encoding="utf-8")
LINES = [line.partition("  #")[0] for line in DIARY.splitlines() if line.startswith("al-loop ")]


def test_it_is_short_and_linked():
    assert len(DIARY.splitlines()) <= 200
    assert max(map(len, DIARY.splitlines())) <= 120
    assert "docs/first_day.md" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", LINES)
def test_a_command_and_its_options_exist(line):
    words = line.split()
    command = get_command(app).commands[words[1]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)} <= options
