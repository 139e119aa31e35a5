"""A function of a notebook as the oracle of a campaign on Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

import al_loop
from tests.support.local_ray import start_ray


@pytest.mark.slow
def test_a_function_that_no_module_has_is_measured_by_actors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.chdir(tmp_path)
    config = {
        "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 6},
        "sampler": {"steps": 4, "batch_size": 8, "hidden": 8, "pool": 32},
        "rounds": {"initial": 4, "batch_size": 4, "count": 1},
        "evaluation": {"workers": 1, "timeout_s": 120},
    }
    weight = 2.0
    start_ray()
    try:
        run_dir = tmp_path / "run"
        campaign = al_loop.campaign(
            config, lambda word: weight * word.count("A"), run_dir=run_dir, address="auto", quiet=True
        )
        campaign.run()
        table = campaign.evaluations
        assert table["value"].tolist() == [2.0 * word.count("A") for word in table["object"]]
        assert set(table["worker"]) == {"ray-0"}
    finally:
        ray.shutdown()
