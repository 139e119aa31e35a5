"""Fixtures of the command line: a user's folder, and a finished run in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_loop.cli import app
from tests.support.command_line import CONFIG, ORACLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a config and an oracle beside it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cli_oracle.py").write_text(ORACLE)
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def finished(folder: Path) -> str:
    """A finished run, by its directory."""
    result = CliRunner().invoke(app, ["run", str(folder / "tiny.yaml"), "--run-dir", str(folder / "done")])
    assert result.exit_code == 0, result.output
    return str(folder / "done")
