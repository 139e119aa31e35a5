import pytest

from al_loop.config import plugins
from al_loop.config.schema import CampaignConfig
from al_loop.config.spelling import same_word


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ("optimize", "optimise"),
        ("maximize", "maximise"),
        ("behavior", "behaviour"),
        ("normalize", "normalise"),
        ("colour", "color"),
        ("local_penalization", "local_penalisation"),
        ("analyze", "analyse"),
        ("center", "centre"),
        ("modeling", "modelling"),
        ("catalogue", "catalog"),
        ("GP", "gp"),
    ],
)
def test_british_and_american_spellings_are_one_word(other, ours):
    assert same_word(other, ["size", ours, "count"]) == ours
    assert same_word(ours, ["size", other, "count"]) == other


@pytest.mark.parametrize("other", ["optimal", "gp2", "siz", ""])
def test_other_words_are_not_taken_for_one_another(other):
    assert same_word(other, ["optimise", "gp", "size"]) is None


def test_no_two_names_of_a_config_are_taken_for_one_another():
    for names in (list(CampaignConfig.model_fields), *([p.kind for p in plugins.built_in(r)] for r in plugins.ROOMS)):
        assert [same_word(name, names) for name in names] == names
