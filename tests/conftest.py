"""Settings of every test: one thread, so that results and times do not depend on the machine."""

import sys
from pathlib import Path

import pytest

# pytest puts this folder on the import path, where tests/al_loop would hide the package of that name
sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def _one_thread():
    torch = sys.modules.get("torch")  # tests that need no torch do not load it
    if torch is not None:
        torch.set_num_threads(1)
