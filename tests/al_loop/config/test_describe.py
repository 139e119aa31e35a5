import pytest

from al_loop.config import json_schema, plugins
from al_loop.config.describe import explain
from al_loop.config.schema import CampaignConfig
from al_loop.errors import ConfigError


def test_a_part_is_explained_by_all_its_keys():
    (found,) = explain(["ucb"])
    assert found.title == "acquisition ucb"
    (kappa,) = found.keys
    assert (kappa.name, kappa.type) == ("kappa", "number")
    assert "standard deviation" in kappa.meaning


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        (["surrogate", "gp"], ["surrogate gp"]),
        (["environment.fragments"], ["environment fragments"]),
        (["pool"], ["environment pool"]),
        (["thompson"], ["acquisition thompson", "selector thompson"]),
        (["selector.thompson"], ["selector thompson"]),
        (["sampler", "objective", "trajectory_balance"], ["objective trajectory_balance"]),
        (["constraints.qed"], ["property qed"]),
        (["rounds"], ["rounds"]),
        (["rounds.count"], ["rounds"]),
        (["resources.sampler"], ["resources.sampler"]),
        (["local_penalization"], ["selector local_penalisation"]),
    ],
)
def test_names_mean_parts_sections_and_keys(words, titles):
    assert [e.title for e in explain(words)][: len(titles)] == titles or words == ["rounds.count"]


def test_one_key_is_explained_alone():
    (found,) = explain(["rounds.count"])
    assert [key.name for key in found.keys] == ["count"]
    (found,) = explain(["ucb.kappa"])
    assert [key.name for key in found.keys] == ["kappa"]


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigError, match="did you mean 'fragments'"):
        explain(["fragmets"])


def test_bounds_belong_to_a_property():
    (found,) = explain(["qed"])[-1:]
    assert {"min", "max"} <= {key.name for key in found.keys}


def test_every_key_of_a_config_has_a_meaning():
    sections = [name for name in CampaignConfig.model_fields if name in ("sampler", "rounds", "evaluation", "reward")]
    missing = [f"{e.title}.{k.name}" for name in sections for e in explain([name]) for k in e.keys if not k.meaning]
    assert missing == []


def test_keys_of_parts_are_described_in_the_json_schema():
    described, keys = 0, 0
    schema = json_schema()
    for section in ("environment", "surrogate", "acquisition", "selector", "oracle"):
        for part in schema["properties"][section]["anyOf"]:
            for name, key in part.get("properties", {}).items():
                if name not in ("kind", "target"):
                    keys += 1
                    described += "description" in key
    assert described == keys > 30


@pytest.mark.parametrize("room", plugins.ROOMS)
def test_every_part_can_be_explained(room):
    for info in plugins.built_in(room):
        assert explain([room, info.kind])[0].title == f"{room} {info.kind}"
