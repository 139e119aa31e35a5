"""A short run of the fault-injection benchmark: no committed answer is lost."""

import os
from pathlib import Path

import pytest

from benchmarks.campaign import faults
from benchmarks.support.fault_injection import Tally, may_mount


@pytest.mark.slow
@pytest.mark.parametrize("name", faults.SCENES)
def test_no_fault_loses_an_answer_or_pays_twice_for_what_was_not_in_flight(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "disk" and not may_mount():
        pytest.skip("no small file system can be mounted here")
    for variable in ("HOME", "RAY_AUTH_MODE", "PYTHONPATH"):  # set by the Ray scene
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    tally = faults.inject(name, n_faults=10, seed=7, folder=tmp_path)
    assert sum(tally.faults.values()) >= 10
    assert tally.is_clean, tally
    assert tally.answers == tally.campaigns * 60
    assert tally.values > 0.6 * tally.answers


def test_campaigns_are_added_to_the_tables_of_earlier_runs(tmp_path: Path) -> None:
    tally = Tally("disk", campaigns=1, starts=2, answers=60, values=50, paid_twice=1)
    tally.faults.update({"disk full": 3, "(stopped with a reason)": 1})
    faults.Tables(tmp_path).add(tally)
    faults.Tables(tmp_path).add(Tally("sqlite", campaigns=1))
    tables = faults.Tables(tmp_path)
    tables.add(tally)
    assert [tables.n("disk", key) for key in ("n", "starts", "faults", "answers", "paid twice")] == [2, 4, 6, 120, 2]
    again = faults.Tables(tmp_path)
    assert list(again.rows) == ["sqlite", "disk"]
    assert again.rows == tables.rows
    assert again.kinds == {"disk full": 6, "(stopped with a reason)": 2}
    assert again.n("ray", "faults") == 0
