import pytest
import yaml

from al_loop.config import load_config, parse_config
from al_loop.config.interpret import interpret
from al_loop.config.locations import Locations
from al_loop.config.overrides import apply_overrides
from al_loop.errors import ConfigError
from tests.support.configs import BASE, refused

PARTS = """
def typed_by_defaults(item, cutoff=0.5, mode="a", flag=False, weights=(1.0, 2.0), other=None):
    return 1.0


def annotated(item, steps: int = 3, names: tuple[str, ...] = (), level: float | None = None):
    return 1.0


class Measured:
    def __init__(self, cutoff=0.5, path: "str" = ""):
        pass

    def evaluate(self, objects):
        return [1.0 for _ in objects]
"""


@pytest.fixture
def with_part(tmp_path, monkeypatch):
    """Write a config whose oracle has one argument, and return its path."""
    (tmp_path / "parts_to_interpret.py").write_text(PARTS)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_config(name, argument):
        path = tmp_path / "config.yaml"
        path.write_text(
            "name: t\nenvironment: {kind: sequence, alphabet: ACGU, length: 4}\noracle:\n"
            f"  target: parts_to_interpret:{name}\n  {argument}\n"
        )
        return path

    return write_config


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("typed_by_defaults", "cutoff: 1e-3", 0.001),
        ("typed_by_defaults", "flag: on", True),
        ("typed_by_defaults", "weights: [1e-3, 2]", [0.001, 2]),
        ("typed_by_defaults", "cutoff: null", None),
        ("typed_by_defaults", "other: 1e-3", 0.001),
        ("annotated", "steps: 1e2", 100),
        ("annotated", "names: [2024-01-01, 1e5]", ["2024-01-01", "1e5"]),
        ("annotated", "level: 1e-3", 0.001),
        ("Measured", "cutoff: 1e-3", 0.001),
    ],
)
def test_arguments_of_a_users_part_are_read_by_its_annotations_and_defaults(with_part, name, argument, value):
    config = load_config(with_part(name, argument))
    assert config.oracle.arguments[argument.partition(":")[0]] == value


@pytest.mark.parametrize(
    ("name", "argument", "says"),
    [
        ("typed_by_defaults", "cutoff: yes", "oracle.cutoff: YAML reads yes as the boolean true"),
        ("typed_by_defaults", "cutoff: 2,5", "write a decimal point (2.5)"),
        ("typed_by_defaults", "mode: NO", "write it in quotes"),
        ("typed_by_defaults", "weights: [1, 1:30]", "oracle.weights.1: YAML reads 1:30"),
        ("typed_by_defaults", "other: 010", "write it in quotes"),
        ("annotated", "steps: 010", "octal"),
        ("annotated", "names: [NO]", "oracle.names.0"),
        ("Measured", "cutoff: true", "true is a boolean"),
        ("Measured", "cutof: 1", "did you mean 'cutoff'?"),
        ("annotated", "step: 1", "did you mean 'steps'?"),
    ],
)
def test_misread_arguments_of_a_users_part_are_refused_with_their_line(with_part, name, argument, says):
    message = refused(with_part(name, argument))
    assert says in message
    assert "line 5" in message


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("environment.alphabet=NO", "environment.alphabet='\"NO\"'"),
        ("sampler.steps=010", "octal"),
        ("sampler.steps=true", "true is a boolean"),
        ("rounds.batch_size=1:30", "base 60"),
        ("reward.beta=2,5", "decimal point"),
        ("name=010", "in quotes"),
        ("goal=maximse", "did you mean 'maximise'?"),
        ("selector=gredy", "did you mean 'greedy'?"),
        ("surrogate.kernl=rbf", "did you mean 'kernel'?"),
        ("acquisition.kapa=2", "did you mean 'kappa'?"),
    ],
)
def test_overrides_are_read_like_the_file(write, override, says):
    message = refused(write(), [override])
    assert says in message
    assert "on the command line" in message


def test_a_part_may_be_written_as_its_name(write):
    text = (
        "name: t\nenvironment: {kind: sequence, alphabet: ACGU, length: 4}\noracle: my_module_of_oracles:count\n"
        "surrogate: gp\nsampler: {objective: trajectory_balance, "
        "searches: [local_search]}\n"
    )
    config = load_config(write(text), ["acquisition=pi", "selector=greedy"])
    assert (config.oracle.target, config.surrogate.kind) == ("my_module_of_oracles:count", "gp")
    assert (config.acquisition.kind, config.selector.kind) == ("pi", "greedy")
    assert config.sampler.searches[0].kind == "local_search"


@pytest.mark.parametrize(
    ("override", "section", "kind"),
    [
        ("acquisition.kappa=2", "acquisition", "ucb"),
        ("surrogate.kernel=rbf", "surrogate", "gp"),
        ("features.length=6", "features", "one_hot"),
        ("sampler.objective.loss=mse", "sampler.objective", "trajectory_balance"),
        ("sampler.policy.hidden=16", "sampler.policy", "mlp"),
    ],
)
def test_an_argument_of_a_part_left_to_its_default_needs_no_kind(override, section, kind):
    content, _ = interpret(apply_overrides(yaml.safe_load(BASE), [override])[0], Locations())
    for name in section.split("."):
        content = content[name]
    assert content["kind"] == kind


def test_parts_of_a_part_may_be_written_as_their_names():
    content, _ = interpret({**yaml.safe_load(BASE), "features": {"kind": "joined", "parts": ["one_hot"]}}, Locations())
    assert content["features"]["parts"] == [{"kind": "one_hot"}]


def test_an_override_of_a_part_written_as_its_name_keeps_the_name(write):
    config = load_config(write(BASE + "surrogate: gp\n"), ["surrogate.kernel=rbf"])
    assert (config.surrogate.kind, config.surrogate.arguments) == ("gp", {"kernel": "rbf"})


def test_american_spellings_are_accepted_for_keys_kinds_and_values(write):
    config = load_config(write(BASE + "goal: minimize\noptimize: count\nselector: local_penalization\n"))
    assert (config.goal, config.optimise, config.selector.kind) == ("minimise", "count", "local_penalisation")
    config = load_config(write(BASE + "optimise: other\n"), ["optimize=count"])
    assert config.optimise == "count"


def test_records_within_parts_are_read_by_the_types_of_their_fields(write):
    objectives = "objectives: [{name: a, goal: maximize}, {name: b, unit: NO}]"
    text = BASE.replace("target: my_module_of_oracles:count", f"{{kind: human, {objectives}}}")
    assert "oracle.objectives.1.unit: YAML reads NO" in refused(write(text))
    config = load_config(write(text.replace("unit: NO", 'unit: "NO"')), ["optimise=a"])
    assert config.oracle.arguments["objectives"] == [{"name": "a", "goal": "maximise"}, {"name": "b", "unit": "NO"}]


def test_one_key_in_two_spellings_is_refused(write):
    assert "another spelling; remove one" in refused(write(BASE + "optimise: a\noptimize: b\n"))


def test_a_config_in_python_is_read_by_the_same_rules():
    content = {
        "name": "t",
        "environment": {"kind": "sequence", "alphabet": "ACGU", "length": 4},
        "oracle": {"kind": "human"},
        "goal": "maximize",
        "surrogate": "gp",
    }
    config = parse_config(content)
    assert (config.goal, config.surrogate.kind) == ("maximise", "gp")
    with pytest.raises(ConfigError, match="true is a boolean, and a number is expected"):
        parse_config({**content, "seed": True})
