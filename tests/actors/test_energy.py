"""An energy learned by actors of Ray, and as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import ray

from al_loop import energy
from al_loop.actors.energy import learn_on_ray
from al_loop.actors.jobs.submit import Cluster
from al_loop.config.energy_schema import EnergyConfig
from al_loop.energy.building import parse_energy
from al_loop.errors import ConfigError
from tests.support.local_ray import start_ray

CONTENT: dict[str, Any] = {
    "name": "words",
    "environment": {"kind": "assignment", "alphabet": "01", "length": 4},
    "energy": {"kind": "mlp", "hidden": 8},
    "sampler": {"hidden": 8},
    "steps": 6,
    "batch_size": 8,
    "data_batch": 8,
    "validations": 2,
    "resources": {"sampler": {"num_cpus": 0.5, "count": 2}, "learner": {"num_cpus": 0.5}},
}
WORDS = ["0011", "0111", "1100"] * 4


@pytest.fixture
def config() -> EnergyConfig:
    return parse_energy(CONTENT)


@pytest.mark.slow
def test_actors_learn_what_one_process_learns(config: EnergyConfig, tmp_path: Path) -> None:
    here = energy.learn_from_config(config, WORDS)
    lines: list[str] = []
    steps: list[int] = []
    monitor = energy.Monitor(
        report=lines.append, log=lambda step, _: steps.append(step), checkpoint=tmp_path / "checkpoint.pt"
    )
    start_ray()
    try:
        there = learn_on_ray(config, WORDS, monitor=monitor, address="auto")
        with pytest.raises(ConfigError, match="none of 1 object is in the space"):
            learn_on_ray(config, ["none"], monitor=energy.Monitor(), address="auto")
    finally:
        ray.shutdown()
    assert steps == [3, 4, 6]  # the energy settles after the fourth
    assert any("step 6 of 6" in line for line in lines)
    for name, weight in here.energy.state_dict().items():
        assert weight.equal(there.energy.state_dict()[name])
    assert here.draw(5, seed=1) == there.draw(5, seed=1)


class Recorded(Cluster):
    """A cluster that records the job that it would start."""

    def __init__(self) -> None:
        self.address, self.started = "http://head:8265", dict[str, Any]()

    def running(self, run_dir: Path) -> str | None:
        return None

    def _start(self, job_id: str, **description: Any) -> None:
        self.started = description


def test_a_job_carries_config_and_data(config: EnergyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "energy.yaml").write_text("name: words\n")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    monkeypatch.chdir(tmp_path)
    cluster = Recorded()
    output = Path("/shared/e.pt")
    job = cluster.submit_energy(tmp_path / "energy.yaml", config, ["steps=3"], Path("words.txt"), output)
    assert job.is_new
    assert cluster.started["entrypoint"] == (
        "python -m al_loop.cli learn-energy energy.yaml words.txt steps=3 -o /shared/e.pt --address auto"
    )
    with pytest.raises(ConfigError, match="this file is not in it"):
        cluster.submit_energy(tmp_path / "energy.yaml", config, [], Path("../words.txt"), output)
