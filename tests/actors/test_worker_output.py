"""What oracle workers print, and how they end: kept in a log for each worker, and in the failure of the object."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.actors.local import LocalExecutor
from al_loop.actors.worker_output import describe_exit
from al_loop.campaign.executor import CallEnded, CallTimeout, OracleWorker, WorkerLost, outcome_of_ended_call
from al_loop.config import load_config
from al_loop.oracles.base import Outcome
from al_loop.storage.bounded_log import MAX_BYTES
from tests.support.placed import call, wait_for

CONFIG = """
name: printing
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "MODULE:measure"}
evaluation: {workers: 1, timeout_s: 60}
"""
ORACLE = """
import ctypes, os, sys, time

def measure(word):
    if word == "depart":
        os._exit(1)
    print("measuring", word, "\\u03bcM \\udc80")
    os.system("echo from a program")
    if word == "raise":
        return undefined_name
    if word == "exit":
        sys.exit("bye")
    if word == "leave":
        os._exit(7)
    if word == "crash":
        ctypes.string_at(0)
    if word == "hang":
        time.sleep(600)
    if word == "fork" and os.fork() == 0:
        return -1.0
    if word == "orphan" and os.fork() == 0:
        time.sleep(600)
    if word == "orphan":
        os._exit(8)
    if word == "much":
        for _ in range(1500):
            print("x" * 5000)
    if word == "close":
        sys.stdout.close()
        os.close(1)
    return len(word)
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("printing")


@pytest.fixture(scope="module")
def worker(logs: Path) -> Iterator[OracleWorker]:
    module = f"printing_oracle_{logs.name}".replace("-", "_")
    (logs / f"{module}.py").write_text(ORACLE)
    (logs / "run.yaml").write_text(CONFIG.replace("MODULE", module))
    path = list(sys.path)
    made = LocalExecutor(load_config(logs / "run.yaml"), logs).oracle_worker(0)
    yield made
    made.close()
    sys.path[:] = path


def ended(worker: OracleWorker, word: str, timeout_s: float = 60.0) -> Outcome:
    with pytest.raises(CallEnded) as caught:
        call(worker, [word], timeout_s)
    return outcome_of_ended_call(caught.value, timeout_s)


def test_output_and_tracebacks_are_in_the_log(worker: OracleWorker, logs: Path) -> None:
    outcomes = call(worker, ["ACG", "raise", "exit", "close", "GGAA"], 60)
    text = (logs / "oracle-0.log").read_text()
    assert [o.values for o in outcomes] == [(3.0,), None, None, (5.0,), None]  # the last prints to a closed stream
    assert "measuring ACG μM \\udc80\nfrom a program\n" in text
    assert "raise: permanent: NameError: name 'undefined_name' is not defined\n    Traceback" in text
    assert "return undefined_name" in text
    assert "exit: permanent: SystemExit: bye" in text
    assert "GGAA: permanent: ValueError: I/O operation on closed file" in text
    ended(worker, "depart")  # the next test starts with open streams


def test_a_crash_in_native_code_has_a_traceback(worker: OracleWorker) -> None:
    outcome = ended(worker, "crash")
    assert outcome.failure is not None
    assert outcome.failure.reason == (
        "the worker died: exit code -11, SIGSEGV: native code that the oracle calls crashed; see logs/oracle-0.log"
    )
    assert "in measure" in str(outcome.info["output"])


def test_a_process_that_leaves_says_so(worker: OracleWorker) -> None:
    outcome = ended(worker, "leave")
    assert outcome.failure is not None
    assert "exit code 7, as after os._exit" in outcome.failure.reason
    assert "measuring leave" in str(outcome.info["output"])


def test_a_call_that_hangs_shows_where(worker: OracleWorker) -> None:
    call(worker, ["A"], 60)
    with pytest.raises(CallTimeout) as caught:
        call(worker, ["hang"], 2.0)
    assert "in measure" in caught.value.output


def test_a_forked_process_gives_no_answers(worker: OracleWorker, logs: Path) -> None:
    assert [o.values for o in call(worker, ["fork", "AC", "ACG"], 60)] == [(4.0,), (2.0,), (3.0,)]
    wait_for(lambda: "forked" in (logs / "oracle-0.log").read_text())  # it writes when it likes


def test_a_dead_worker_is_noticed_though_a_child_keeps_its_connection(worker: OracleWorker) -> None:
    with pytest.raises(WorkerLost, match="exit code 8"):
        call(worker, ["orphan"], 60)


def test_the_log_is_bounded(worker: OracleWorker, logs: Path) -> None:
    call(worker, ["much", "A"], 60)
    assert (logs / "oracle-0.log").stat().st_size < MAX_BYTES + 1000


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0, as after os._exit"),
        (-9, "exit code -9, SIGKILL: often because the machine ran out of memory"),
        (-15, "exit code -15, SIGTERM"),
        (-300, "exit code -300"),
        (None, "exit code None"),
    ],
)
def test_the_end_of_a_process_in_words(code: int | None, text: str) -> None:
    assert describe_exit(code) == text
