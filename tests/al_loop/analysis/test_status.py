"""The status of a run."""

from pathlib import Path

from al_loop.analysis import Run, open_run
from tests.support.synthetic_run import fill


def test_status_says_where_the_run_stands(tmp_path: Path, run: Run) -> None:
    status = run.status()
    assert (status.state, status.rounds, status.planned_rounds) == ("finished", 4, 4)
    assert (status.answered, status.failed, status.pending, status.calls) == (48, 4, 0, 48)
    assert status.cost == 2.0 * 44
    assert status.best_value == run.evaluations["gap"].max()
    half = open_run(fill(tmp_path / "half", n_rounds=2, pending=5)).status()
    assert (half.state, half.closed_rounds, half.pending, half.in_flight) == ("unfinished", 1, 5, 0)
