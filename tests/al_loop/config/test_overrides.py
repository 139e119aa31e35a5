import pytest

from al_loop.config import load_config
from al_loop.config.overrides import apply_overrides
from tests.support.configs import refused


def test_overrides_change_nested_keys_and_list_items(write):
    config = load_config(
        write(),
        ["rounds.count=9", "constraints.0.min=0.3", "evaluation.workers=3", "name=other", "environment.alphabet=ACGT"],
    )
    assert (config.rounds.count, config.rounds.batch_size) == (9, 4)
    assert config.constraints[0].min == 0.3
    assert config.evaluation.workers == 3
    assert config.name == "other"
    assert config.environment.arguments["alphabet"] == "ACGT"


def test_an_override_may_be_a_whole_mapping(write):
    config = load_config(write(), ["acquisition={kind: ucb, kappa: 2.5}"])
    assert config.acquisition.arguments == {"kappa": 2.5}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("rounds.count", "not of the form key=value"),
        ("=3", "not of the form key=value"),
        ("rounds..count=3", "not of the form key=value"),
        ("constraints.5.min=1", "no list item 5"),
        ("constraints.1={kind: gc_content}", "no list item 1"),
        ("seed.x=1", "'seed' is 1"),
        ("rounds.count=[1", "not valid YAML"),
        ("constraints.min=1", "no list item min"),
        ("constraints.x.min=1", "no list item x"),
        ("0=1", "0"),
        ("rounds.0.x=1", "no list item 0"),
    ],
)
def test_bad_overrides_are_named(write, override, says):
    message = refused(write(), [override])
    assert override in message
    assert says in message


def test_the_content_itself_is_not_changed():
    content = {"rounds": {"count": 1}, "constraints": [{"min": 0.1}]}
    changed, origins = apply_overrides(content, ["rounds.count=2", "constraints.0.min=0.3", "stop.reached=1"])
    assert content == {"rounds": {"count": 1}, "constraints": [{"min": 0.1}]}
    assert changed == {"rounds": {"count": 2}, "constraints": [{"min": 0.3}], "stop": {"reached": 1}}
    assert origins[("constraints", 0, "min")] == "constraints.0.min=0.3"
