"""``al-loop run``: what it prints, how it ends, and how it resumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import open_run
from tests.support.command_line import call

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_a_run_reaches_its_end_and_is_then_finished(finished: str) -> None:
    code, out, err = call("run", "tiny.yaml", "--run-dir", finished)
    assert (code, err) == (0, [])
    assert "is finished: 3 rounds, 14 answers" in out
    with open_run(finished) as run:
        assert run.status().state == "finished"
        assert run.status().calls == 14


def test_quiet_says_a_line_a_round(folder: Path) -> None:
    code, out, _ = call("run", "tiny.yaml", "-q", "--run-dir", str(folder / "quiet"))
    lines = out.splitlines()
    assert code == 0
    assert ["round 0" in lines[0], "round 1" in lines[1], "round 2" in lines[2], "done" in lines[3]] == [True] * 4
    assert len(lines) == 4


def test_constraints_that_nothing_meets_are_an_error_with_the_share_that_meets_each(folder: Path) -> None:
    bounds = "constraints=[{kind: gc_content, min: 0.9}, {kind: gc_content, max: 0.1}]"
    for command in (["run", "tiny.yaml", "--run-dir", str(folder / "none")], ["check", "tiny.yaml", "--no-oracle"]):
        code, _, err = call(*command, bounds)
        assert code == 2
        assert "meets all of them: constraints.0 (gc_content, min 0.9) is met by" in err[0]
        assert "constraints.1 (gc_content, max 0.1) is met by" in err[0]


def test_the_ledger_of_another_campaign_is_left_alone(finished: str) -> None:
    code, _, err = call("run", "tiny.yaml", "seed=5", "--run-dir", finished)
    assert code == 2
    assert len(err) == 1
    assert "--run-dir" in err[0]


def test_an_oracle_that_answers_nothing_ends_with_an_explanation(folder: Path) -> None:
    broken = 'oracle={target: "cli_oracle:cli_broken"}'
    code, _, err = call("run", "tiny.yaml", broken, "--run-dir", str(folder / "broken"))
    assert code == 1
    assert len(err) == 1
    assert "the first 5 objects all failed in the same way" in err[0]
    assert "the furnace is cold" in err[0]


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on_with_the_same_command(number: signal.Signals, code: int, folder: Path) -> None:
    run_dir, log = folder / f"stop-{code}", folder / f"stop-{code}.log"
    command = [sys.executable, "-m", "al_loop.cli", "run", "tiny.yaml", "oracle.pause=0.15", f"oracle.log={log}"]
    command += ["--run-dir", str(run_dir)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c
    )
    deadline = time.monotonic() + 600
    while not (log.exists() and len(log.read_text().split()) >= 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == code, err
    assert len(err.splitlines()) == 1
    assert "safe" in err
    assert "tiny.yaml" in err
    with open_run(run_dir) as run:
        in_flight = {c.object for c in run.ledger.in_flight()}
        first = run.evaluations
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    called = Counter(log.read_text().split())
    assert {name for name, n in called.items() if n > 1} <= in_flight
    with open_run(run_dir) as run:
        assert run.status().state == "finished"
        pd.testing.assert_frame_equal(run.evaluations.loc[first.index], first)
