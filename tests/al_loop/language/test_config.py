"""Mistakes in the config of a tuning."""

import pytest
import yaml

from al_loop.errors import ConfigError
from al_loop.language.config import load_language_config

BASE = {"model": "model.pt", "prompts": ["a"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": {"kind": "infill"}}, "reward.examples: kind infill requires a file"),
        ({"reward": {"kind": "chain"}}, "reward.examples: kind chain requires a file"),
        ({"reward": {"kind": "continuation", "examples": "a.jsonl"}}, "reward.examples: kind continuation has no file"),
        ({"reward": {"kind": "checked"}}, "reward.target: kind checked requires a function"),
        ({"reward": {"kind": "continuation", "target": "a:b"}}, "reward.target: kind continuation has no function"),
        ({"seeds": ["a"]}, "seeds: ['a'] is not valid: a text is expected"),
        ({"reward": {"invalid": float("inf")}}, "reward.invalid: must be finite, got inf"),
    ],
)
def test_a_mistake_is_said_in_one_line(tmp_path, changes, message):
    (tmp_path / "language.yaml").write_text(yaml.safe_dump({**BASE, **changes}))
    with pytest.raises(ConfigError) as raised:
        load_language_config(tmp_path / "language.yaml")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
