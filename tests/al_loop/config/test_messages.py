"""Refused values of keys that may have several types: one line about the type that was meant."""

import math

import pytest

from al_loop.config.load import parse_config
from al_loop.errors import ConfigError

BASE = {"name": "t", "environment": {"kind": "fragments"}, "oracle": {"kind": "human"}}
KEYS_OF_AN_OBJECTIVE = "known keys: goal, name, unit"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"oracle": {"kind": "human", "objectives": [{"name": "a", "gaol": "minimise"}]}},
            [f"oracle.objectives.0.gaol: unknown key; did you mean 'goal'?; {KEYS_OF_AN_OBJECTIVE}"],
        ),
        (
            {"oracle": {"kind": "human", "objectives": [{"nam": "a"}]}},
            ["oracle.objectives.0.name: missing", "oracle.objectives.0.nam: unknown key; did you mean 'name'?"],
        ),
        ({"initial_data": [{"fil": "x.csv"}]}, ["initial_data.0.file: missing", "initial_data.0.fil: unknown key"]),
        ({"initial_data": {"file": "x.csv", "nosie": {}}}, ["initial_data.nosie: unknown key; did you mean 'noise'?"]),
        ({"optimise": [{"name": "a"}]}, ["optimise.0: a text is expected"]),
        ({"rounds": {"count": "many"}}, ["rounds.count: 'many' is not valid: input should be a valid integer"]),
        ({"constraints": {"kind": "qed"}}, ["constraints: a list is expected"]),
        (
            {"constraints": [{"kind": "similarity", "smiles": "CCO", "min": 0.5}]},
            ["constraints.0.smiles: 'CCO' is not valid: a list is expected, such as [...]"],
        ),
        (
            {"environment": {"kind": "sequence", "alphabet": "AA", "length": 3}},
            ["environment.alphabet: 'AA' must contain at least one letter"],
        ),
        (
            {"environment": {"kind": "sequence", "alphabet": "AC", "length": 0}},
            ["environment.length: must be a whole number of at least 1, got 0 (config)"],
        ),
        ({"oracle": ["human"]}, ["oracle: ['human'] is not valid: a section of keys is expected"]),
        ({"initial_data": 3}, ["initial_data: "]),
        (
            {"oracle": {"kind": "joint", "oracles": [{"kind": "xtb", "metod": "GFN2-xTB"}]}},
            ["oracle: metod: unknown key; did you mean 'method'?"],
        ),
    ],
)
def test_each_mistake_gives_one_line_in_the_users_keys(changes: dict[str, object], expected: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config({**BASE, **changes})
    lines = str(refused.value).splitlines()
    assert [line for line, start in zip(lines, expected, strict=True) if not line.startswith(start)] == []


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("evaluation", {"cost": math.inf}),
        ("reward", {"beta": math.inf}),
        ("budget", {"cost": math.inf}),
        ("sampler", {"temperature": math.inf}),
        ("sampler", {"lr": math.inf}),
        ("surrogate", {"kind": "gp", "noise_ratio": math.inf}),
        ("surrogate", {"kind": "ensemble", "learning_rate": math.inf}),
        ("reward", {"energy": {"file": "e.pt", "weight": -math.inf}}),
    ],
)
def test_infinite_numbers_are_refused(section, values):
    key = next(key for key in reversed(values) if key != "kind")
    with pytest.raises(ConfigError) as raised:
        parse_config({**BASE, section: values})
    assert str(raised.value).startswith(f"{section}.{key}")
    assert "must be finite, got" in str(raised.value)


def test_bounds_may_be_infinite():
    config = parse_config({**BASE, "stop": {"reached": math.inf}, "constraints": [{"kind": "qed", "min": -math.inf}]})
    assert config.stop.reached == math.inf
    assert config.constraints[0].min == -math.inf


@pytest.mark.parametrize("seconds", [math.inf, 1e12])
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("evaluation", "timeout_s"),
        ("evaluation", "build_timeout_s"),
        ("evaluation", "patience_s"),
        ("evaluation", "backoff_s"),
        ("rounds", "close_after_s"),
        ("resources", "wait_s"),
    ],
)
def test_endless_times_become_the_longest_that_timers_take(section, key, seconds):
    config = parse_config({**BASE, section: {key: seconds}})
    assert getattr(getattr(config, section), key) == 1e9
    with pytest.raises(ConfigError):
        parse_config({**BASE, section: {key: math.nan}})
