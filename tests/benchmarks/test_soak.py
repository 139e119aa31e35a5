"""A short run of the soak: two stations on a server that is killed again and again lose nothing."""

from pathlib import Path

import pytest

from benchmarks.campaign import soak
from benchmarks.support.fault_injection import Shape


@pytest.mark.slow
def test_nothing_is_lost_beside_a_server_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SERVER_PAUSE", (3.0, 8.0))
    (machine, people), _ = soak.soak(0.1, seed=3, folder=tmp_path, shape=Shape(batch=20, rounds=2, pause=(0.5, 3.0)))
    assert machine.is_clean, machine
    assert machine.answers == 60 * machine.campaigns
    assert people.is_clean, people
    assert people.answers > 0
