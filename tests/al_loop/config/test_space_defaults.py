"""Blocks and priors of configs that do not name them."""

import pytest

from al_loop.config import parse_config
from al_loop.config.schema import CampaignConfig
from al_loop.config.space_defaults import former_blocks_note, with_space_defaults
from al_loop.errors import ConfigError


def parsed(environment, **more):
    return parse_config({"name": "x", "environment": environment, "oracle": {"kind": "human"}, **more})


@pytest.mark.parametrize("environment", ["fragments", {"kind": "fragments"}, {"kind": "fragments", "max_atoms": 30}])
def test_a_config_that_names_no_blocks_gets_those_of_zinc(environment):
    config = parsed(environment)
    assert config.environment.arguments["vocabulary"] == "zinc"
    assert "environment.vocabulary" in config.assumed


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        ({"kind": "fragments", "vocabulary": "bengio72"}, {}),
        ({"kind": "fragments", "vocabulary": None}, {}),
        ({"kind": "fragments", "exclude": ["c1cc[nH]c1"]}, {}),
        ({"kind": "fragments", "min_fragments": 3}, {}),
        ({"kind": "fragments"}, {"sampler": {"policy": "fragments"}}),
    ],
)
def test_a_config_that_was_written_for_the_former_blocks_keeps_them(environment, more):
    config = parsed(environment, **more)
    assert config.environment.arguments.get("vocabulary") is None
    assert "environment.vocabulary" not in config.assumed


@pytest.mark.parametrize(
    ("environment", "more", "key"),
    [
        ({"kind": "fragments", "exclude": ["c1ccccc1"]}, {}, "environment.exclude: c1ccccc1"),
        ({"kind": "fragments", "min_fragments": 3}, {}, "environment.min_fragments: 3"),
        ("fragments", {"sampler": {"policy": "fragments"}}, "sampler.policy: fragments"),
    ],
)
def test_a_key_that_changes_the_blocks_is_named(environment, more, key):
    assert former_blocks_note(parsed(environment, **more)).startswith(
        f"{key} has a meaning for the vocabulary bengio72"
    )


@pytest.mark.parametrize("environment", ["fragments", "selfies", {"kind": "fragments", "vocabulary": "bengio72"}])
def test_blocks_that_no_key_changes_need_no_note(environment):
    assert former_blocks_note(parsed(environment)) == ""


def test_the_former_blocks_by_name_are_the_campaign_that_did_not_name_them():
    former = CampaignConfig.model_validate({"name": "x", "environment": "fragments", "oracle": {"kind": "human"}})
    named = parsed({"kind": "fragments", "vocabulary": "bengio72"})
    assert named.fingerprint == former.fingerprint != parsed("fragments").fingerprint


def test_a_recorded_config_is_left_as_it_is():
    content = {"name": "x", "environment": {"kind": "fragments"}, "oracle": {"kind": "human"}}
    config = parse_config(content, is_recorded=True)
    assert config.assumed == ()
    assert "vocabulary" not in config.environment.arguments


def test_a_sampler_of_the_default_size_starts_from_the_included_prior():
    config = parsed("fragments")
    assert config.sampler.prior == "zinc"
    assert config.rounds.initial_from == "energy"
    assert set(config.assumed) == {"environment.vocabulary", "sampler.prior", "rounds.initial_from"}


@pytest.mark.parametrize(
    ("environment", "sampler"),
    [
        ({"kind": "fragments"}, {"prior": "none"}),
        ({"kind": "fragments"}, {"prior": None}),
        ({"kind": "fragments"}, {"hidden": 64}),
        ({"kind": "fragments"}, {"heads": 4}),
        ({"kind": "fragments"}, {"kind": "ppo"}),
        ({"kind": "fragments", "vocabulary": "bengio72"}, {}),
        ({"kind": "sequence", "alphabet": "ACGT", "length": 8}, {}),
    ],
)
def test_other_samplers_start_from_random_weights(environment, sampler):
    config = parsed(environment, sampler=sampler)
    assert config.sampler.prior is None
    assert config.rounds.initial_from == "random"


@pytest.mark.parametrize("environment", ["selfies", {"kind": "selfies", "length": 60}])
def test_selfies_of_the_included_length_start_from_their_prior(environment):
    config = parsed(environment)
    assert config.environment.arguments["length"] == 60
    assert (config.sampler.prior, config.rounds.initial_from) == ("zinc_selfies", "energy")
    assert config.sampler.policy.kind == "transformer"
    assert ("environment.length" in config.assumed) is (environment == "selfies")


@pytest.mark.parametrize("arguments", [{"length": 40}, {"alphabet": ["[C]", "[N]"], "length": 60}, {"min_length": 5}])
def test_selfies_of_another_form_have_no_included_prior(arguments):
    config = parsed({"kind": "selfies", **arguments})
    assert config.sampler.prior is None
    assert config.environment.arguments == arguments


def test_other_environments_are_left_alone():
    content = {"environment": {"kind": "sequence", "alphabet": "ACGT", "length": 8}}
    assert with_space_defaults(content) == (content, ())


def test_none_is_no_prior():
    assert with_space_defaults({"environment": "fragments", "sampler": {"prior": "none"}})[0]["sampler"] == {
        "prior": None
    }


def test_the_arguments_of_fragments_are_validated():
    with pytest.raises(ConfigError, match="unknown key; did you mean 'max_fragments'"):
        parsed({"kind": "fragments", "max_fragment": 4})
