"""A campaign in a process of its own, without a sweep around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from al_loop import open_run
from al_loop.actors.sweeps import trial as trial_module
from al_loop.actors.sweeps.trial import ProcessContext, TrialProcess
from al_loop.config import load_config
from tests.support.sweeps import sweep_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SLOW = ["oracle.pause=0.3", "rounds.count=50"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, which is the working directory."""
    with sweep_folder(tmp_path_factory.mktemp("trial")) as folder:
        yield folder


def test_the_events_of_a_campaign_are_its_rounds_and_its_end(folder: Path) -> None:
    trial = TrialProcess(load_config("swept.yaml"), folder / "whole", ProcessContext.here())
    events = [trial.next_event() for _ in range(3)]
    assert [(event.kind, event.round) for event in events] == [("round", 0), ("round", 1), ("done", 1)]
    assert events[2].measures["calls"] == 10
    assert dict(events[2].measures).keys() == {"calls", "best", "top10_mean", "hypervolume"}
    assert trial._process.returncode == 0


def test_a_campaign_that_is_stopped_has_lost_no_answer_and_left_no_process(folder: Path) -> None:
    trial = TrialProcess(load_config("swept.yaml", SLOW), folder / "stopped", ProcessContext.here())
    assert trial.next_event().round == 0
    started = psutil.Process(trial._process.pid).children(recursive=True)
    trial.stop()
    last = trial.next_event()
    while last.kind == "round":
        last = trial.next_event()
    assert (last.kind, last.reason) == ("stopped", "")
    assert trial._process.poll() == 0
    assert psutil.wait_procs(started, timeout=600)[1] == []
    with open_run(folder / "stopped") as run:
        assert run.status().failed == 0
        assert run.status().answered >= 6


def test_a_campaign_whose_process_is_killed_has_failed(folder: Path) -> None:
    trial = TrialProcess(load_config("swept.yaml", SLOW), folder / "killed", ProcessContext.here())
    assert trial.next_event().kind == "round"
    os.kill(trial._process.pid, signal.SIGKILL)
    event = trial.next_event()
    while event.kind == "round":
        event = trial.next_event()
    assert event.kind == "failed"
    assert event.reason.startswith("its process ended with exit code -9")


def test_a_campaign_does_not_outlive_a_sweep_that_is_killed(folder: Path) -> None:
    command = [sys.executable, "-m", "al_loop.cli", "sweep", "swept.yaml", "seed=[0]", *SLOW, "--run-dir", "orphan"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as sweep:
        assert sweep.stdout is not None
        assert any("| round 0 |" in line for line in sweep.stdout)
        started = psutil.Process(sweep.pid).children(recursive=True)
        sweep.kill()
    _, alive = psutil.wait_procs(started, timeout=600)
    assert alive == []


HUNG = """
import os, subprocess, sys, threading, time
from pathlib import Path

class Hangs:
    def __init__(self, how="fork"):
        self.how = how

    def check(self):
        assert sys.stdin.read() == "" == subprocess.check_output(["cat"], text=True)
        if self.how == "thread":  # keeps the process from ending
            threading.Thread(target=time.sleep, args=[3600]).start()
            raise ValueError("unusable")
        if self.how == "fork":  # a process that would keep the events from ending
            child = subprocess.Popen(["sleep", "3600"], close_fds=False, start_new_session=True)
            Path("fork.pid").write_text(str(child.pid))
            os._exit(3)
        Path("deaf.pid").write_text(str(os.getpid()))
        while True:
            try:
                time.sleep(3600)
            except KeyboardInterrupt:
                pass

    def evaluate(self, words):
        return []
"""


@pytest.fixture
def hung(folder: Path) -> Path:
    """The user's folder, with an oracle whose check does not return."""
    (folder / "hung.py").write_text(HUNG)
    text = (folder / "swept.yaml").read_text()
    config = text.replace('"sweep_oracle:sweep_score"', '"hung:Hangs"')
    (folder / "hung.yaml").write_text(config)
    return folder


def test_a_campaign_whose_own_thread_keeps_its_process_is_ended(hung: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_module, "STOP_WAIT_S", 1.0)
    trial = TrialProcess(load_config("hung.yaml", ["oracle.how=thread"]), hung / "thread", ProcessContext.here())
    event = trial.next_event()
    assert (event.kind, event.reason) == ("failed", "ValueError: unusable")
    assert trial._process.returncode is not None


def test_a_process_that_a_campaign_leaves_behind_does_not_hold_up_the_sweep(hung: Path) -> None:
    trial = TrialProcess(load_config("hung.yaml", ["oracle.how=fork"]), hung / "fork", ProcessContext.here())
    event = trial.next_event()
    os.kill(int((hung / "fork.pid").read_text()), signal.SIGKILL)
    assert event.kind == "failed"
    assert "its process died while it was being built: exit code 3" in event.reason


def test_a_campaign_that_does_not_stop_dies_soon_after_a_sweep_that_is_killed(hung: Path) -> None:
    code = (
        "from al_loop.actors.sweeps import trial; from al_loop.config import load_config; from pathlib import Path;"
        "trial._MAIN = trial._MAIN.replace('import main;', 'import main; import al_loop.actors.sweeps.trial as t; "
        "t.STOP_WAIT_S = 1.0;');"
        "trial.TrialProcess(load_config('hung.yaml', ['oracle.how=deaf']), Path('deaf').absolute(), "
        "trial.ProcessContext.here()).next_event()"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}) as sweep:
        while not (hung / "deaf.pid").is_file() or not (hung / "deaf.pid").read_text():
            assert sweep.poll() is None
            time.sleep(0.1)
        sweep.kill()
    campaign = int((hung / "deaf.pid").read_text())
    with suppress(psutil.NoSuchProcess):
        psutil.Process(campaign).wait(timeout=60)
