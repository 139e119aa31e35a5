"""Every mistake in a config raises a one-line error with file, line, key, value and remedy."""

import re

import pytest

from al_loop.config import load_config
from al_loop.errors import ConfigError
from tests.support.configs import BASE, refused


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("  steps: 5", "  stepps: 5", 7, ["sampler.stepps: unknown key", "did you mean 'steps'", "known keys", "pool"]),
        ("seed: 1", "sead: 1", 2, ["sead: unknown key", "did you mean 'seed'"]),
        ("  steps: 5", "  steps: many", 7, ["sampler.steps", "'many'", "integer"]),
        ("  steps: 5", "  steps: 0", 7, ["sampler.steps", "0", "greater than or equal to 1"]),
        ("name: words\n", "", None, ["name: missing", "add it"]),
        ("name: words", "name: a b/c", 1, ["name", "'a b/c'"]),
        ("seed: 1", "goal: best", 2, ["goal", "'best'", "maximise", "minimise"]),
        ("length: 6}", "lenght: 6}", 3, ["environment.lenght: unknown key", "did you mean 'length'"]),
        ("length: 6}", "length: long}", 3, ["environment.length", "'long'", "integer"]),
        (", length: 6}", "}", 3, ["environment.length: missing"]),
        ("alphabet: ACGU", "alphabet: AAGU", 3, ["environment", "'AAGU'", "none twice"]),
        (
            "kind: sequence",
            "kind: sequense",
            3,
            ["environment.kind", "'sequense'", "fragments", "hypergrid", "sequence"],
        ),
        ("kind: gc_content", "kind: nothing", 11, ["constraints.0.kind", "'nothing'", "gc_content", "qed"]),
        (", min: 0.2", "", 11, ["constraints.0", "'min', 'max' or both"]),
        ("min: 0.2", "min: 0.8, max: 0.3", 11, ["constraints.0", "min (0.8) is above max (0.3)"]),
        ("min: 0.2", "min: 40", 11, ["constraints.0.min: no object has 40, since gc_content is from 0 to 1"]),
        (
            "{kind: gc_content, min: 0.2}",
            "{kind: motif, motifs: [GG], max: -1}",
            11,
            ["constraints.0.max: no object has -1, since motif is at least 0"],
        ),
        ("kind: sequence, ", "", 3, ["environment", "either 'kind'", "or 'target'"]),
        ("kind: sequence", "kind: sequence, target: a:b", 3, ["environment", "either 'kind'", "or 'target'"]),
        (
            "my_module_of_oracles:count",
            "my_missing_module:count",
            5,
            ["oracle.target", "cannot import", "the folder of the config"],
        ),
        ("oracles:count", "oracles:cuont", 5, ["oracle.target", "has no 'cuont'"]),
        ("my_module_of_oracles:count", "count", 5, ["oracle.target", "'count'", "package.module:Name"]),
        ("seed: 1", "surrogate: {kind: gp, x: 1}", 2, ["surrogate.x: unknown key"]),
        ("seed: 1", "features: {kind: morgan}", 2, ["features", "'morgan'", "molecules", "sequences"]),
        ("kind: gc_content, min: 0.2", "kind: qed, min: 0.2", 11, ["constraints.0", "'qed'", "molecules", "sequences"]),
        ("  pool: 32", "  pool: 2", 8, ["sampler.pool: 2", "rounds.batch_size (4)", "increase it"]),
        ("rounds: {batch_size: 4, initial: 4}", "rounds: 3", 9, ["rounds", "3"]),
    ],
)
def test_a_mistake_is_refused_where_it_stands(write, old, new, line, says):
    path = write(BASE, (old, new))
    message = refused(path)
    for words in says:
        assert words in message, message
    assert str(path) in message
    if line is not None:
        assert f"line {line})" in message, message


def test_rna_oracle_on_fragments_is_refused(write):
    pytest.importorskip("RNA")
    path = write("name: x\nenvironment: {kind: fragments}\noracle: {kind: rna}\n")
    message = refused(path)
    assert re.search(r"oracle: 'rna' works on sequences, but the environment 'fragments' produces molecules", message)
    assert f"({path}, line 3)" in message


def test_a_grid_without_features_is_refused(write):
    path = write("name: x\nenvironment: {kind: hypergrid}\noracle: {target: my_module_of_oracles:count}\n")
    message = refused(path)
    assert "features: missing" in message
    assert "morgan" in message


def test_a_module_that_raises_at_import_is_named(write, folder):
    (folder / "raising_module.py").write_text("raise RuntimeError('no licence')")
    message = refused(write(BASE, ("my_module_of_oracles", "raising_module")))
    assert "oracle.target" in message
    assert "RuntimeError: no licence" in message


def test_all_mistakes_are_told_at_once(write):
    message = refused(
        write(BASE, ("steps: 5", "stepps: 5"), ("seed: 1", "seed: x"), ("batch_size: 4", "batch_size: 0"))
    )
    assert len(message.splitlines()) == 3


def test_the_maximising_baseline_refuses_what_it_cannot_do(write):
    assert "sampler.searches: ppo" in refused(write(), ["sampler={kind: ppo, searches: [{kind: genetic}]}"])
    several = ["sampler={kind: ppo}", "resources.learner.replicas=2"]
    assert "resources.learner.replicas: ppo trains in one process" in refused(write(), several)
    assert load_config(write(), ["sampler={kind: ppo}"]).fingerprint != load_config(write()).fingerprint


def test_a_missing_argument_of_features_is_refused_unless_the_campaign_supplies_it(write, folder):
    (folder / "my_module_of_features.py").write_text(
        "class Sized:\n    def __init__(self, alphabet: str, size: int) -> None: ...\n"
    )
    path = write(BASE + "features:\n  target: my_module_of_features:Sized\n")
    message = refused(path)
    assert "features.size: missing" in message
    assert "alphabet" not in message
    assert load_config(path, ["features.size=3"]).features is not None


def test_joined_features_receive_the_letters_of_the_environment(write):
    path = write(BASE)
    assert load_config(path, ["features={kind: joined, parts: [{kind: one_hot}, {kind: kmers, k: 2}]}"]).features
    with pytest.raises(ConfigError, match="features: length: 0 is not valid"):
        load_config(path, ["features={kind: joined, parts: [{kind: one_hot, length: 0}]}"])
