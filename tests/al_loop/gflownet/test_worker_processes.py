"""Workers in processes of their own, which end with the process that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from al_loop.environments.sequence import Sequences
from al_loop.gflownet.parallel_scoring import Task
from al_loop.gflownet.worker_processes import WorkerProcesses, _environment

ENVIRONMENT = Sequences("AC", 3)
ROOT = Path(__file__).parents[3]
WORDS = ["ACA", "CCC"]
TASK = Task(ENVIRONMENT.encode(WORDS).tolist(), [], None)


@pytest.fixture(scope="module")
def workers():
    made = WorkerProcesses(ENVIRONMENT, 1)
    yield made
    made.close()
    assert not made.pids


def test_no_process_is_started_before_there_is_a_task():
    workers = WorkerProcesses(ENVIRONMENT, 2)
    assert workers.pids == []
    workers.close()


def test_a_worker_decodes_and_survives_an_error(workers):
    assert workers.submit(TASK).result().objects == WORDS
    (pid,) = workers.pids
    with pytest.raises(IndexError):
        workers.submit(Task([[99]], [], None)).result()
    assert workers.submit(Task(None, WORDS, b"of another process")).result().prepared is None
    assert workers.submit(TASK).result().objects == WORDS
    assert workers.pids == [pid]


def test_a_worker_that_is_killed_is_replaced_and_its_task_repeated(workers):
    workers.submit(TASK).result()
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    assert workers.submit(TASK).result().objects == WORDS
    assert workers.pids != [pid]


def test_an_environment_of_another_module_than_can_be_imported_is_explained():
    with pytest.raises(RuntimeError, match=r"cannot be rebuilt in another process .*set resources.decoders to 0"):
        _environment(b"of another process")


@pytest.mark.slow
def test_workers_end_with_a_caller_that_is_killed():
    code = (
        "import os, sys, time\n"
        "from tests.al_loop.gflownet.test_worker_processes import ENVIRONMENT, TASK\n"
        "from al_loop.gflownet.worker_processes import WorkerProcesses\n"
        "workers = WorkerProcesses(ENVIRONMENT, 2)\n"
        "[f.result() for f in [workers.submit(TASK), workers.submit(TASK)]]\n"
        "print(*workers.pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pids = [int(pid) for pid in caller.stdout.readline().split()]
    assert pids
    processes = [psutil.Process(pid) for pid in pids]
    caller.kill()
    caller.wait()
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
    assert len(gone) == len(pids)
