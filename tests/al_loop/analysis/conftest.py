from pathlib import Path

import pytest

from al_loop.analysis import Run, open_run
from tests.support.synthetic_run import fill


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture
def run(folder: Path) -> Run:
    return open_run(folder)
