"""Settings of every test, so that results and times do not depend on the machine or on how the tests were started."""

import os
import signal
import sys
from pathlib import Path

import pytest

# before numpy and SciPy load their BLAS, whose threads wait for each other where several tests run at once: fits took
# up to a hundred times as long
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# every Ray of a test process is in one mode: actors die at once in a process in which it has changed
os.environ["RAY_AUTH_MODE"] = "disabled"
# nohup and jobs in the background ignore these, in all processes that the tests start, too
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# pytest puts this folder on the import path, where tests/al_loop would hide the package of that name
sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]


@pytest.fixture(autouse=True)
def _one_thread():
    torch = sys.modules.get("torch")  # tests that need no torch do not load it
    if torch is not None:
        torch.set_num_threads(1)
