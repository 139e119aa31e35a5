"""``al-loop stop RUN_DIR``, with a real campaign or sweep in a process of its own."""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from al_loop.actors.jobs.stop import stop_here
from al_loop.analysis import open_run
from al_loop.errors import CampaignError, ConfigError

CONFIG = """
name: long
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "long_oracle:score"}
sampler: {steps: 2, batch_size: 8, pool: 16, hidden: 8}
rounds: {count: 1, batch_size: 1, initial: 200}
evaluation: {workers: 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "long.yaml").write_text(CONFIG)
    (tmp_path / "long_oracle.py").write_text("import time\ndef score(word):\n    time.sleep(0.5)\n    return 1.0\n")
    return tmp_path


@pytest.fixture
def campaign(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A campaign that has had its first answer."""
    command = [sys.executable, "-m", "al_loop.cli", "run", "long.yaml", "--run-dir", "run", "--quiet"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            until_answered(process, folder / "run")
            yield process
        finally:
            process.kill()


@pytest.fixture
def sweep(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep of two campaigns, one after the other, of which the first has had an answer."""
    command = [sys.executable, "-m", "al_loop.cli", "sweep", "long.yaml", "seed=[0,1]", "--concurrent", "1"]
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as home:
        environment = os.environ | {"HOME": home, "RAY_AUTH_MODE": "disabled"}
        with subprocess.Popen(
            [*command, "--run-dir", "all"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                until_answered(process, folder / "all" / "seed=0")
                yield process
            finally:
                process.kill()


def until_answered(process: subprocess.Popen[str], run_dir: Path) -> None:
    ends = time.monotonic() + 600
    while n_answers(run_dir) == 0:
        assert process.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.2)


@contextmanager
def held(run_dir: Path, text: str) -> Iterator[None]:
    """The lock of a run directory, held by this process, with any text in it."""
    with (run_dir / "lock").open("w") as lock:
        lock.write(text)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def n_answers(run_dir: Path) -> int:
    try:
        with open_run(run_dir) as run:
            return run.status().answered
    except ConfigError:
        return 0


def stop(folder: Path, run_dir: str = "run") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "al_loop.cli", "stop", run_dir]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_campaign_is_ended_cleanly_and_its_answers_are_kept(campaign: subprocess.Popen[str], folder: Path) -> None:
    done = stop(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"run (pid {campaign.pid}) has stopped; the command that started it resumes it"]
    assert campaign.wait(timeout=600) == 143
    assert campaign.stdout is not None
    assert "ended by SIGTERM: every answer that arrived is safe" in campaign.stdout.read()
    assert n_answers(folder / "run") > 0
    again = stop(folder)
    assert (again.returncode, again.stdout) == (0, "nothing is running in run\n")


@pytest.mark.slow
def test_one_campaign_of_a_sweep_is_ended_cleanly_and_then_the_whole_sweep(
    sweep: subprocess.Popen[str], folder: Path
) -> None:
    done = stop(folder, "all/seed=0")
    assert done.returncode == 0, done.stderr
    n = n_answers(folder / "all" / "seed=0")
    until_answered(sweep, folder / "all" / "seed=1")
    done = stop(folder, "all")
    assert done.stdout.startswith(f"all (pid {sweep.pid}) has stopped"), done.stderr
    assert sweep.wait(timeout=600) == 143
    assert sweep.stdout is not None
    told = sweep.stdout.read().splitlines()
    assert told[0] == "seed=0 | stopped"
    assert told[-1].startswith("ended by SIGTERM: every answer that arrived is safe")
    assert not any("raylet" in line for line in told)
    assert n_answers(folder / "all" / "seed=0") == n > 0


def test_a_campaign_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    with held(tmp_path, "pid 1 on elsewhere"), pytest.raises(ConfigError, match=r"runs on elsewhere \(pid 1\)"):
        stop_here(tmp_path)


def test_a_process_that_only_has_the_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        try:
            with (
                held(tmp_path, f"pid {other.pid} on {platform.node()}"),
                pytest.raises(CampaignError, match=f"not by the process {other.pid}"),
            ):
                stop_here(tmp_path)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_lock_without_a_holders_name_is_not_guessed_at(tmp_path: Path) -> None:
    with held(tmp_path, ""), pytest.raises(CampaignError, match="does not say by whom"):
        stop_here(tmp_path)


def test_a_folder_that_is_no_run_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not the directory of a run"):
        stop_here(tmp_path / "nothing")


HARD_OF_HEARING = """
import fcntl, os, platform, signal, sys, time
lock = open("lock", "w")
lock.write(f"pid {os.getpid()} on {platform.node()}")
lock.flush()
fcntl.flock(lock, fcntl.LOCK_EX)
heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
print("ready", flush=True)
while len(heard) < 3:
    time.sleep(0.01)
"""


def test_the_signal_is_repeated_until_the_process_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_loop.actors.jobs.stop._AGAIN_S", 0.1)
    messages: list[str] = []
    with subprocess.Popen([sys.executable, "-c", HARD_OF_HEARING], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert stop_here(tmp_path, on_wait=messages.append) == process.pid
        assert process.wait(60) == 0
    assert len(messages) == 2
    assert "the signal was sent again, which stops faster" in messages[0]
