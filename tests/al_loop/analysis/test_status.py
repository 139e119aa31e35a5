"""The status of a run."""

import json
import os
import platform
from pathlib import Path

import pytest

from al_loop.analysis import Run, open_run
from al_loop.storage.activity import ActivityFile, End
from tests.support.command_line import lines
from tests.support.synthetic_run import fill


def test_status_says_where_the_run_stands(tmp_path: Path, run: Run) -> None:
    status = run.status()
    assert (status.state, status.rounds, status.planned_rounds) == ("finished", 4, 4)
    assert (status.answered, status.failed, status.pending, status.calls) == (48, 4, 0, 48)
    assert status.cost == 2.0 * 44
    assert status.best_value == run.evaluations["gap"].max()
    half = open_run(fill(tmp_path / "half", n_rounds=2, pending=5)).status()
    assert (half.state, half.closed_rounds, half.pending, half.in_flight) == ("unfinished", 1, 5, 0)


def test_a_process_at_work_is_running_with_its_phase_and_one_that_is_gone_is_said_to_be_dead(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", n_rounds=2, pending=5)
    activity = ActivityFile(folder)
    activity.enter("train", 2)
    status = open_run(folder).status()
    assert status.state == "running"
    assert status.process.startswith(f"pid {os.getpid()} on {platform.node()}, round 2: train, since 20")
    content = json.loads((folder / "activity.json").read_text())
    (folder / "activity.json").write_text(json.dumps({**content, "process_started": 1.0}))
    status = open_run(folder).status()
    assert status.state == "unfinished"
    assert "died in round 2: train" in status.process
    (folder / "activity.json").write_text(json.dumps({**content, "host": "elsewhere"}))
    assert "known there only" in open_run(folder).status().process


@pytest.mark.parametrize(
    ("end", "error", "text"),
    [
        ("interrupted", "", "was interrupted at"),
        ("failed", "the oracle gave no value", "ended by an error"),
        ("stopped", "", "ended at"),
    ],
)
def test_the_way_a_process_ended_is_said(tmp_path: Path, end: End, error: str, text: str) -> None:
    folder = fill(tmp_path / "run", n_rounds=2, pending=5)
    ActivityFile(folder).leave(end, error)
    status = open_run(folder).status()
    assert status.state == "unfinished"
    assert text in status.process
    assert status.process.endswith(error)
    _, out, _ = lines("status", str(folder))
    assert any(line.startswith("process") and text in line for line in out)


def test_an_illegible_file_says_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "run", n_rounds=1)
    (folder / "activity.json").write_text("{")
    assert open_run(folder).status().process == ""
