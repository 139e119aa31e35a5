"""A short run of the soak: two stations on a server that is killed again and again lose nothing."""

import sys
from pathlib import Path

import pytest

from al_loop.config import load_config
from benchmarks.campaign import faults, soak
from benchmarks.support.fault_injection import FaultCampaign, Scene, Shape, Tally


@pytest.mark.parametrize("shape", [soak.SHAPE, faults.DEFAULT_SHAPE, Shape(batch=500, rounds=1)])
def test_the_settings_of_every_shape_are_valid(tmp_path: Path, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    FaultCampaign(tmp_path / "campaign", Scene(), None, Tally("machine"), 0, shape)  # type: ignore[arg-type]
    assert load_config(tmp_path / "campaign" / "faults.yaml").rounds.batch_size == shape.batch


@pytest.mark.slow
def test_nothing_is_lost_beside_a_server_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "SERVER_PAUSE", (3.0, 8.0))
    (machine, people), _ = soak.soak(0.1, seed=3, folder=tmp_path, shape=Shape(batch=20, rounds=2, pause=(0.5, 3.0)))
    assert machine.is_clean, machine
    assert machine.answers == 60 * machine.campaigns
    assert people.is_clean, people
    assert people.answers > 0
