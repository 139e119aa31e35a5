"""Settings of every test, so that results and times do not depend on the machine or on how the tests were started."""

import os
import signal
import sys
from pathlib import Path

import pytest

# before numpy and SciPy load their BLAS, whose threads wait for each other where several tests run at once: fits took
# up to a hundred times as long
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# else Ray's processes, with a niceness of 15, wait for minutes while other tests keep all cores busy
os.environ |= {"RAY_worker_niceness": "0"}
# every Ray of a test process is in one mode: actors die at once in a process in which it has changed
os.environ["RAY_AUTH_MODE"] = "disabled"
# nohup and jobs in the background ignore these, in all processes that the tests start, too
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# pytest puts this folder on the import path, where tests/al_loop would hide the package of that name
sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]

# these files take minutes; they come first, so that none of them is left to a single process at the end
_LONGEST = (
    "tests/docs/test_site.py",
    "tests/actors/cluster/test_cluster.py",
    "tests/al_loop/gflownet/execution/test_execution.py",
    "tests/benchmarks/test_faults.py",
    "tests/golden/test_campaigns.py",
    "tests/actors/test_neighbours.py",
    "tests/benchmarks/test_simulate.py",
    "tests/actors/jobs/test_submit.py",
    "tests/actors/cluster/test_learner.py",
    "tests/actors/ppo/test_training.py",
    "tests/actors/sweeps/test_run.py",
    "tests/docs/test_notebooks.py",
    "tests/al_loop/modelling/test_graph_reward.py",
    "tests/al_loop/campaign/test_crash.py",
)


def pytest_configure(config):
    config.option.loadscopereorder = False  # else xdist begins with the files of the most tests, which are short


def pytest_collection_modifyitems(items):
    def place(item):
        path = item.path.as_posix()
        return next((i for i, name in enumerate(_LONGEST) if path.endswith(name)), len(_LONGEST))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _one_thread():
    torch = sys.modules.get("torch")  # tests that need no torch do not load it
    if torch is not None:
        torch.set_num_threads(1)
