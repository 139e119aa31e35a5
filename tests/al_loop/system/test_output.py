"""Output that never ends a command: full disks, closed pipes, and characters that an encoding lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.configs import ROOT

PRINT = """
import sys
from al_loop.system.output import guard_output, output_error, is_pipe_broken
guard_output()
for i in range(9):  # more than a pipe holds
    print("µ – é \\udc80", "x" * 20_000, flush=True)
print("µ", file=sys.stderr)
error = output_error()
with open("reached.txt", "w") as file:
    file.write(f"{error and error.errno} {is_pipe_broken()}")
"""


def run(redirection: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    (folder / "program.py").write_text(PRINT, encoding="utf-8")
    command = ["bash", "-c", f'set -o pipefail; "$0" program.py {redirection}', sys.executable]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace")


@pytest.mark.parametrize(
    ("redirection", "variables", "reached"),
    [
        ("> /dev/full", {}, "28 False"),
        ("> /dev/full 2>&1", {}, "28 False"),
        ("| head -c 1 > /dev/null", {}, "32 True"),
        (">&- 2>&-", {}, "None False"),
        ("<&- > out.txt", {"PYTHONIOENCODING": "ascii"}, "None False"),
        ("> out.txt", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "None False"),
    ],
)
def test_output_that_cannot_be_written_ends_nothing(
    redirection: str, variables: dict[str, str], reached: str, tmp_path: Path
) -> None:
    done = run(redirection, tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert (tmp_path / "reached.txt").read_text() == reached
