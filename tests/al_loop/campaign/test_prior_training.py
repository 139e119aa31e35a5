"""Priors trained from a campaign's config."""

import pytest

from al_loop.campaign.prior_training import train_prior
from al_loop.config import parse_config
from al_loop.errors import ConfigError
from al_loop.gflownet.pretraining import PretrainingSettings
from al_loop.gflownet.priors import read_prior

CONFIG = {
    "name": "words",
    "oracle": {"kind": "rna"},
    "environment": {"kind": "sequence", "alphabet": "AC", "length": 3},
    "sampler": {"hidden": 8, "layers": 1},
}
SETTINGS = PretrainingSettings(steps=10, batch_size=4)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data.txt").write_text("AAA\nACA\nCAC\nCCC\nAAC\nXXX\n")
    return tmp_path / "data.txt"


def test_a_prior_is_written_with_what_it_was_trained_on(data, tmp_path):
    lines = []
    result = train_prior(parse_config(CONFIG), data, tmp_path / "prior.pt", SETTINGS, report=lines.append)
    prior = read_prior(tmp_path / "prior.pt")
    assert prior.metadata["environment"] == "sequence (2 letters)"
    assert (prior.metadata["data"], prior.metadata["n_skipped"]) == ("data.txt", result.n_skipped) == ("data.txt", 1)
    assert lines[0] == "5 of 6 objects are in the space of the environment"
    assert lines[1].startswith("skipped, because they are not: 1; the first: 'XXX'")
    assert sum("nats per object" in line for line in lines) == len(result.validation) == 10


def test_a_sampler_that_is_conditioned_on_preferences_is_trained_under_conditions(data, tmp_path):
    several = {**CONFIG, "optimise": ["a", "b"], "acquisition": {"kind": "parego"}}
    result = train_prior(parse_config(several), data, tmp_path / "prior.pt", SETTINGS)
    assert result.n_train == 4


def test_a_device_that_is_not_available_is_named_by_its_key(data, tmp_path):
    config = parse_config({**CONFIG, "sampler": {"device": "abacus"}})
    with pytest.raises(ConfigError, match=r"sampler\.device: 'abacus' is not available"):
        train_prior(config, data, tmp_path / "prior.pt", SETTINGS)
