import pytest

from al_loop.config.load import parse_config
from al_loop.config.method import described, resolved
from al_loop.errors import ConfigError

SEQUENCES = {"kind": "sequence", "alphabet": "ACGU", "length": 6}


def config(environment=SEQUENCES, oracle=None, **content):
    oracle = oracle or {"kind": "rna"}
    return parse_config({"name": "x", "environment": environment, "oracle": oracle, **content})


def test_without_a_method_nothing_changes():
    content = {"environment": SEQUENCES, "surrogate": {"kind": "auto"}}
    assert resolved(content) == (content, ())
    assert config().surrogate.kind == "gp"


def test_the_method_fills_what_a_config_of_sequences_leaves_out():
    made = config(method="auto")
    kinds = [made.features.kind, made.surrogate.kind, made.acquisition.kind, made.selector.kind]
    assert kinds == ["one_hot", "sequence", "ucb", "graded"]
    assert made.sampler.evolution.kind == "letters"
    assert made.reward.feasibility_by == "auto"
    assert described(made) == "method auto: features one_hot, surrogate sequence, acquisition ucb, selector graded"


def test_what_the_config_sets_stays():
    made = config(method="auto", surrogate="gp", sampler={"steps": 7}, selector={"kind": "greedy"}, reward={"beta": 9})
    assert (made.surrogate.kind, made.sampler.steps, made.selector.kind) == ("gp", 7, "greedy")
    assert made.sampler.evolution is not None
    assert (made.reward.beta, made.reward.feasibility) == (9, 15)


def test_small_batches_are_not_shared_out():
    assert config(method="auto", rounds={"batch_size": 4}).selector.kind == "diverse"


def test_a_batch_of_molecules_is_spread_and_partly_not_the_surrogates_choice():
    oracle = {"kind": "guacamol", "task": "median1"}
    made = config("fragments", oracle, method="auto", rounds={"batch_size": 16})
    assert (made.selector.kind, made.selector.arguments["selector"]["kind"]) == ("mixed", "leader")
    assert made.sampler.evolution.arguments == {"children": 750, "generations": 1, "population": 200}
    assert config("fragments", oracle, method="auto", rounds={"batch_size": 4}).selector.kind == "diverse"


@pytest.mark.parametrize("section", ["acquisition", "selector", "features"])
def test_a_single_part_may_be_auto(section):
    made = config(**{section: "auto"})
    assert getattr(made, section).kind in ("ucb", "graded", "one_hot")
    assert made.surrogate.kind == "gp"


def test_an_auto_part_is_the_methods_choice_under_a_method():
    assert config(method="auto", surrogate={"kind": "auto"}).surrogate.kind == "sequence"


def test_a_listed_space_of_molecules_is_described_in_three_ways_and_scored_whole():
    made = config({"kind": "pool", "file": "enamine10k"}, {"kind": "table", "file": "enamine10k"}, method="auto")
    assert made.features.kind == "joined"
    assert made.selector.kind == "greedy"
    assert made.sampler.evolution is None


def test_resolving_again_changes_nothing():
    made = config(method="auto")
    content = made.model_dump(mode="json", exclude_unset=True)
    assert parse_config(content) == made.with_assumed()


def test_the_resolved_config_is_the_campaign_not_the_word():
    made = config(method="auto")
    content = made.model_dump(mode="json", exclude_unset=True)
    del content["method"]
    assert parse_config(content).fingerprint == made.fingerprint


def test_an_unknown_method_or_a_broken_space_is_an_error():
    with pytest.raises(ConfigError, match="method"):
        config(method="best")
    with pytest.raises(ConfigError, match="environment"):
        config({"kind": "sequense"}, method="auto")
