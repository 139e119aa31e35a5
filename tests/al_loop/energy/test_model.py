"""A learned energy: its file, its scores, and environments that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from al_loop import energy
from al_loop.energy.model import EnergyModel
from al_loop.environments.assignment import Assignments
from al_loop.environments.sequence import Sequences
from al_loop.errors import ConfigError
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.priors import load_prior, read_prior
from al_loop.gflownet.saved_models import write_model

SPACE = {"kind": "sequence", "alphabet": "dna", "length": 4, "min_length": 2}
SMALL = {"steps": 6, "validations": 1, "energy": {"kind": "mlp", "hidden": 8}, "sampler": {"hidden": 8}}


@pytest.fixture(scope="module")
def model() -> EnergyModel:
    return energy.learn(SPACE, ["ACGT", "AC", "ACG", "CCC"], **SMALL)


def test_a_saved_model_scores_and_draws_the_same(model: EnergyModel, tmp_path: Path) -> None:
    model.save(tmp_path / "e.pt")
    loaded = energy.load(tmp_path / "e.pt")
    objects = ["ACGT", "GG"]
    assert loaded.score(objects).equal(model.score(objects))
    assert loaded.draw(5, seed=3) == model.draw(5, seed=3)
    assert loaded.report == model.report
    assert loaded.data.equal(model.data)
    draw = loaded.sampler.draw(4, seed=1)
    assert draw.log_reward.equal(loaded.score(draw.objects or []).float())


def test_a_saved_model_is_a_prior_of_its_sampler(model: EnergyModel, tmp_path: Path) -> None:
    model.save(tmp_path / "e.pt")
    space = Sequences("dna", 4, 2)
    policy = MLPPolicy(space, 8, 2)
    prior = read_prior(tmp_path / "e.pt")
    assert prior is not None
    load_prior(space, policy, prior)
    assert all(policy.state_dict()[name].equal(weight) for name, weight in model.policy.state_dict().items())


def test_objects_without_a_score_are_nan_with_a_reason(model: EnergyModel) -> None:
    scores = model.score(["ACG", "A", "XX"])
    assert scores.isnan().tolist() == [False, True, True]
    assert set(model.refused) == {"A", "XX"}
    assert model.score([]).shape == (0,)


def test_a_model_of_an_environment_object_asks_for_it(tmp_path: Path) -> None:
    space = Assignments("01", 3)
    energy.learn(space, ["010", "011"], **SMALL).save(tmp_path / "e.pt")
    with pytest.raises(ConfigError, match=r"an object in Python; pass it: energy.load\(path, environment=...\)"):
        energy.load(tmp_path / "e.pt")
    assert len(energy.load(tmp_path / "e.pt", space).draw(2)) == 2
    with pytest.raises(ConfigError, match="was learned for the environment assignment"):
        energy.load(tmp_path / "e.pt", Assignments("01", 4))


@pytest.mark.parametrize("other", [{"length": 5}, {"length": 3}, {"alphabet": "CA"}])
def test_the_message_on_another_environment_says_what_differs(other: dict[str, Any], tmp_path: Path) -> None:
    space = {"kind": "sequence", "alphabet": "AC", "length": 4}
    settings = {"energy": {"kind": "mlp", "hidden": 4}, "sampler": {"hidden": 4}, "steps": 1, "validations": 1}
    energy.learn(space, ["ACAC"], **settings).save(tmp_path / "e.pt")
    environment = Sequences(**{"alphabet": "AC", "length": 4, **other})
    expected = rf"sequence \(alphabet: AC, length: 4\), .* this sequence \(2 letters\) of length {environment.length};"
    with pytest.raises(ConfigError, match=expected):
        energy.load(tmp_path / "e.pt", environment)


def test_files_that_are_no_energy_are_refused(tmp_path: Path) -> None:
    torch.save({"weights": {}}, tmp_path / "prior.pt")
    write_model(tmp_path / "other.pt", "latent", {})
    write_model(tmp_path / "broken.pt", "energy", {"config": {}})
    for name in ("prior.pt", "other.pt", "broken.pt", "missing.pt"):
        with pytest.raises(ConfigError, match=name):
            energy.load(tmp_path / name)
