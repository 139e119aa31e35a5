"""Runs that began with other defaults go on with those."""

import pytest

import al_loop
from al_loop.campaign.recorded_defaults import with_recorded
from al_loop.config import parse_config
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger


def n_nitrogens(smiles):
    """Return the number of nitrogens in a molecule."""
    return float(smiles.lower().count("n"))


CONFIG = {
    "name": "run",
    "environment": {"kind": "fragments", "max_atoms": 24},
    "rounds": {"count": 1, "initial": 3, "batch_size": 2},
    "sampler": {"steps": 2, "batch_size": 4, "hidden": 8, "layers": 1, "pool": 16},
}


def campaign(folder, environment, **more):
    config = {**CONFIG, "environment": {**CONFIG["environment"], **environment}, **more}
    return al_loop.campaign(config, oracle=n_nitrogens, run_dir=folder, quiet=True)


def recorded(folder):
    with Ledger(f"sqlite:///{folder / 'ledger.db'}", read_only=True) as ledger:
        return [s.config["environment"].get("vocabulary") for s in ledger.sessions()], ledger.rounds()


def test_a_run_of_an_earlier_version_goes_on_with_its_blocks(tmp_path):
    # what an earlier version recorded: no vocabulary
    with campaign(tmp_path, {"vocabulary": "bengio72"}) as started:
        started.run(1)
    with campaign(tmp_path, {}) as resumed:  # the same config file as ever, which names none
        resumed.run()
        assert resumed.config.environment.arguments.get("vocabulary") is None
    names, rounds = recorded(tmp_path)
    assert set(names) == {None}
    assert len(rounds) == 2
    with pytest.raises(ConfigError, match=r"environment\.vocabulary \(none there, zinc here\)"):
        campaign(tmp_path, {"vocabulary": "zinc"}).run()


def test_a_new_run_records_its_blocks(tmp_path):
    with campaign(tmp_path, {}) as started:
        started.run(1)
    assert recorded(tmp_path)[0] == ["zinc"]
    with campaign(tmp_path, {}) as resumed:
        resumed.run()


def test_a_run_goes_on_with_what_it_recorded():
    config = parse_config(
        {"name": "x", "environment": {"kind": "fragments", "max_atoms": 30}, "oracle": {"kind": "human"}}
    )
    former = {"environment": {"kind": "fragments", "max_atoms": 30}, "sampler": {"prior": None}, "rounds": {}}
    begun = with_recorded(config, former)
    assert begun.environment.arguments == {"max_atoms": 30}
    assert begun.assumed == ()
    same = with_recorded(config, {**former, "environment": {"kind": "fragments", "vocabulary": "zinc"}})
    assert same.environment.arguments == {"max_atoms": 30, "vocabulary": "zinc"}


def test_a_run_goes_on_with_the_method_that_it_recorded():
    content = {
        "name": "x",
        "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 6},
        "oracle": {"kind": "rna"},
        "method": "auto",
        "sampler": {"steps": 7},
    }
    former = parse_config(
        {
            **content,
            "surrogate": {"kind": "gp"},
            "acquisition": {"kind": "log_ei"},
            "selector": {"kind": "diverse"},
            "features": {"kind": "kmers"},
            "sampler": {"steps": 7, "pool": 99, "searches": [], "evolution": None},
            "reward": {"feasibility": 3},
        }
    ).model_dump(mode="json", exclude_unset=True)  # as a version with other choices recorded it
    begun = with_recorded(parse_config(content), former)
    assert (begun.features.kind, begun.surrogate.kind, begun.acquisition.kind) == ("kmers", "gp", "log_ei")
    assert (begun.sampler.steps, begun.sampler.pool, begun.sampler.evolution) == (7, 99, None)
    del former["features"], former["reward"]
    begun = with_recorded(parse_config(content), former)
    assert begun.features is None
    assert begun.reward.feasibility == parse_config({**content, "method": None}).reward.feasibility


def test_a_run_of_selfies_of_an_earlier_version_goes_on_with_its_words_and_policy():
    config = parse_config({"name": "x", "environment": "selfies", "oracle": {"kind": "human"}})
    assert config.environment.arguments == {"length": 60}
    former = with_recorded(config, {"environment": {"kind": "selfies"}, "sampler": {}, "rounds": {}})
    assert former.environment.arguments == {}
    assert (former.sampler.prior, former.sampler.policy) == (None, None)
