"""A fixture that runs each golden campaign once for all tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.golden import golden


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that runs a campaign on its first call, and returns its run directory."""
    folder = golden.copy_campaigns(tmp_path_factory.mktemp("golden"))

    @cache
    def run(name: str) -> Path:
        done = golden.run("run", f"{name}.yaml", "--run-dir", f"runs/{name}", folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / "runs" / name

    return run
