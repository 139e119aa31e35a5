"""``al-loop ask`` and ``tell``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import open_run
from tests.support.command_line import call, lines


@pytest.fixture(scope="module")
def lab(folder: Path) -> Path:
    """A run that people answer, with its first batch of 6 proposed."""
    from al_loop import Campaign, load_config

    run_dir = folder / "lab"
    settings = ["oracle={kind: human, objectives: [{name: kd, unit: nM, goal: minimise}]}", "rounds.close_share=0.5"]
    with Campaign(load_config(folder / "tiny.yaml", settings), run_dir) as campaign:
        assert campaign.advance() == 6
    return run_dir


def test_people_are_asked_and_tell_and_the_next_batch_follows_without_a_running_campaign(lab: Path) -> None:
    code, out, _ = lines("ask", str(lab), "-n", "4", "-o", str(lab / "batch.csv"))
    assert code == 0
    assert "4 objects" in out[0]
    table = pd.read_csv(lab / "batch.csv")
    assert list(table.columns)[:2] == ["id", "sequence"]
    assert "kd (nM)" in table.columns
    code, _, err = lines("ask", str(lab), "-o", str(lab / "batch.csv"))
    assert (code, "already exists" in err[0]) == (2, True)

    table["kd (nM)"] = [5.0, 6.0, 7.0, None]
    table.to_csv(lab / "results.csv", index=False)
    code, _, err = lines("tell", str(lab), str(lab / "results.csv"))
    assert (code, "cannot ask for confirmation" in err[-1]) == (2, True)
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--dry-run")
    assert (code, out[-1]) == (0, "3 results would be committed")
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--yes")
    assert (code, out[-1]) == (0, "committed: 3 results; 3 candidates are pending")
    code, out, _ = lines("tell", str(lab), str(lab / "results.csv"), "--yes")
    assert (code, out[-1]) == (0, "nothing new to commit")

    code, out, _ = lines("ask", str(lab), "--again")
    assert code == 0
    assert len(out) == 2, "the one of the four that has no result"
    # half of the first batch is back, so that the second is decided on: two are left of the first, four are new
    code, out, _ = lines("ask", str(lab), "-n", "6")
    assert code == 0
    assert [line.split(",")[2] for line in out[1:]] == ["0", "0", "1", "1", "1", "1"]
    assert all(line.split(",")[3] for line in out[3:]), "what is predicted of each stands in the table"
    code, _, err = lines("ask", str(lab))
    assert code == 1
    assert "7 objects are being measured (--again lists them)" in err[-1]


def test_a_table_with_a_problem_commits_nothing(lab: Path) -> None:
    (lab / "bad.csv").write_text("id,kd (nM)\n4,3.5\n99,1\n")
    with open_run(lab) as run:
        before = len(run.evaluations)
    code, out, err = lines("tell", str(lab), str(lab / "bad.csv"), "--yes")
    assert code == 2
    assert any("id 99 is not in this run" in line for line in out)
    assert "nothing was committed" in err[-1]
    with open_run(lab) as run:
        assert len(run.evaluations) == before


def test_a_run_that_is_not_there_can_neither_ask_nor_be_told(folder: Path) -> None:
    for command in (("ask", "nowhere"), ("tell", "nowhere", "results.csv")):
        code, _, err = lines(*command)
        assert code == 2
        assert "there is no such run" in err[0]


def test_what_a_program_measures_is_handed_out_only_by_force(finished: str) -> None:
    code, out, err = call("ask", finished)
    assert (code, out) == (2, "")
    assert "would be measured twice" in err[0]
    code, _, err = call("ask", finished, "--force")
    assert (code, err[0].split(":")[0]) == (1, "nothing to measure")
