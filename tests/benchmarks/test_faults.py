"""A short run of the fault-injection benchmark: no committed answer is lost."""

import os
from pathlib import Path

import pytest

from benchmarks.campaign import faults
from benchmarks.support.fault_injection import may_mount


@pytest.mark.slow
@pytest.mark.parametrize("name", faults.SCENES)
def test_no_fault_loses_an_answer_or_pays_twice_for_what_was_not_in_flight(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "disk" and not may_mount():
        pytest.skip("no small file system can be mounted here")
    for variable in ("HOME", "RAY_AUTH_MODE", "PYTHONPATH"):  # set by the Ray scene
        monkeypatch.setenv(variable, os.environ.get(variable, ""))
    tally = faults.inject(name, n_faults=20, seed=7, folder=tmp_path)
    assert sum(tally.faults.values()) >= 20
    assert tally.is_clean, tally
    assert tally.answers == tally.campaigns * 60
    assert tally.values > 0.6 * tally.answers
