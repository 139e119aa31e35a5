"""The application: exit codes, light imports, errors in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from tests.support.command_line import CONFIG, call


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["run", "--help"], ["--version"]])
def test_what_needs_no_parts_loads_neither_torch_nor_ray(arguments: list[str]) -> None:
    code = (
        "import sys; from al_loop.cli import main\n"
        f"sys.argv = ['al-loop', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "loaded = {'torch', 'ray', 'botorch', 'pandas', 'rdkit'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tiny.yaml", "sampler.stpes=3"], ["sampler.stpes", "did you mean 'steps'"]),
        (["tiny.yaml", "rounds.count=many"], ["rounds.count", "'many'"]),
        (["tiny.yaml", "surrogate.kind=gpp"], ["surrogate.kind", "'gpp'", "gp"]),
        (
            ["tiny.yaml", "oracle.target=no_such_module:f"],
            ["oracle.target", "no_such_module", "the folder of the config"],
        ),
        (["tiny.yaml", "oracle.target=cli_oracle:nothing"], ["oracle.target", "cli_oracle", "nothing"]),
        (["tiny.yaml", "rounds"], ["'rounds'", "key=value"]),
        (["broken.yaml"], ["broken.yaml", "line 3"]),
        (["typo.yaml"], ["typo.yaml, line 8", "rouns"]),
        (["missing.yaml"], ["missing.yaml", "No such file"]),
        (["tiny.yaml", "--run-dir", "tiny.yaml/run"], ["tiny.yaml/run", "--run-dir"]),
        (["tiny.yaml", "ledger=oracle://x"], ["ledger", "oracle", "sqlite"]),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], expected: list[str], folder: Path) -> None:
    (folder / "broken.yaml").write_text("name: a\nenvironment: {kind: [\n")
    (folder / "typo.yaml").write_text(CONFIG + "rouns: 3\n")
    code, out, err = call("run", *arguments)
    assert (code, out) == (2, "")
    assert len(err) == 1, err
    assert err[0].startswith("error: ")
    for word in expected:
        assert word in err[0]


def test_a_bug_ends_with_a_traceback_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from al_loop.config import plugins as parts

    monkeypatch.setattr(parts, "built_in", lambda section: 1 / 0)
    code, _, err = call("list")
    assert code == 1
    assert "Traceback" in err[0]
    assert "bug" in err[-1]


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(10**15),
        lambda: numpy.empty(10**15),
        lambda: bytearray(10**15),
        lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")),
    ],
)
def test_too_little_memory_is_no_bug(monkeypatch: pytest.MonkeyPatch, allocate: Callable[[], object]) -> None:
    from al_loop.config import plugins as parts

    monkeypatch.setattr(parts, "built_in", lambda section: allocate())
    code, _, err = call("list")
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("error: out of memory: ")
    assert "bug" not in err[0]


def _raise(error: Exception) -> None:
    raise error


def _in_shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    program = f"{sys.executable} -m al_loop.cli"
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + command.replace("al-loop", program)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("command", ["al-loop list | head -c 1", "al-loop --help | head -c 1", "al-loop schema | true"])
def test_a_pipe_that_nobody_reads_is_no_error(command: str, tmp_path: Path) -> None:
    done = _in_shell(command, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_whose_output_is_lost_says_so(tmp_path: Path) -> None:
    done = _in_shell("al-loop schema > /dev/full", tmp_path)
    assert done.returncode == 1
    reason = "standard output could not be written (No space left on device); parts of it are missing"
    assert done.stderr == f"error: {reason}\n"
