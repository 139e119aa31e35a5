"""Oracle workers of this machine, which leave nothing behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from al_loop.actors import local
from al_loop.actors.local import LocalExecutor
from al_loop.campaign.executor import MemoryExceeded
from al_loop.config import CampaignConfig
from tests.support.placed import call, time_out, wait_for, wait_until_ended


def test_a_call_that_is_ended_takes_the_programs_it_started_with_it(placed: CampaignConfig, tmp_path: Path) -> None:
    worker = LocalExecutor(placed, tmp_path).oracle_worker(0)
    wait_until_ended(time_out(worker, "hang", tmp_path / "child.pid"))
    worker.close()


def test_an_oracle_that_takes_too_much_memory_is_ended(placed: CampaignConfig, tmp_path: Path) -> None:
    limited = placed.model_copy(update={"evaluation": placed.evaluation.model_copy(update={"memory_gb": 0.5})})
    worker = LocalExecutor(limited, tmp_path).oracle_worker(0)
    try:
        with pytest.raises(MemoryExceeded, match=r"memory_gb = 0\.5"):
            call(worker, ["memory"], 60.0)
        (after,) = call(worker, ["GA"], 60.0)
        assert after.values == (1.5,)
    finally:
        worker.close()


def test_a_worker_does_not_outlive_a_driver_that_was_killed(placed: CampaignConfig, tmp_path: Path) -> None:
    read, write = os.pipe()
    driver = os.fork()
    if driver == 0:
        worker = LocalExecutor(placed, tmp_path).oracle_worker(0)
        answer = call(worker, ["pid"], 20)[0].values
        assert answer is not None
        os.write(write, f"{answer[0]:.0f}\n".encode())
        time.sleep(600)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        pid = int(pipe.readline())
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    wait_until_ended(pid)


def test_a_worker_whose_oracle_holds_the_interpreter_does_not_outlive_a_driver_that_was_killed(
    placed: CampaignConfig, tmp_path: Path
) -> None:
    driver = os.fork()
    if driver == 0:
        worker = LocalExecutor(placed, tmp_path).oracle_worker(0)
        call(worker, ["native"], 600)
        os._exit(0)
    file = tmp_path / "native.pid"
    wait_for(file.exists)
    pids = [int(pid) for pid in file.read_text().split()]
    os.kill(driver, signal.SIGKILL)
    os.waitpid(driver, 0)
    for pid in pids:
        wait_until_ended(pid)


def test_the_process_that_watches_a_worker_ends_with_it(placed: CampaignConfig, tmp_path: Path) -> None:
    worker = LocalExecutor(placed, tmp_path).oracle_worker(0)
    answer = call(worker, ["pid"], 60)[0].values
    assert answer is not None
    pid = int(answer[0])
    watchers = [p.pid for p in psutil.process_iter() if p.pid != pid and is_of_this_test(p)]
    assert len(watchers) == 1
    assert len({os.getsid(each) for each in (os.getpid(), pid, *watchers)}) == 3
    worker.close()
    wait_until_ended(watchers[0])


def is_of_this_test(process: psutil.Process) -> bool:
    """Return whether a process was started by this test; the environment is that of its start."""
    name = "PYTEST_CURRENT_TEST"
    with suppress(psutil.Error):
        return process.environ().get(name) == os.environ[name] and process.ppid() != os.getpid()
    return False


def test_a_worker_without_a_watchdog_is_never_left_stopped(
    placed: CampaignConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Had the driver been killed between stopping and killing it, it would have stayed so for ever."""
    monkeypatch.setattr(local, "_serve", stay)
    monkeypatch.setattr(local, "end_tree", lambda pid: pytest.fail("a process that starts has no tree"))
    worker = LocalExecutor(placed, tmp_path).oracle_worker(0)
    before = {child.pid for child in psutil.Process().children()}
    worker.start()

    def begun() -> list[int]:  # until it has executed Python, its command line is that of this process
        started = [p for p in psutil.Process().children() if p.pid not in before]
        return [p.pid for p in started if "spawn_main" in str(p.cmdline())]

    wait_for(lambda: bool(begun()))
    (pid,) = begun()
    worker.close()
    wait_until_ended(pid)


def stay(*_: object) -> None:
    """Never get as far as a worker that has its watchdog."""
    time.sleep(600)
