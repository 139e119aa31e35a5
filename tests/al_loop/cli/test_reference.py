"""``al-loop list`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.command_line import call

ROOT = Path(__file__).parents[3]


def test_list_names_every_section_and_part() -> None:
    code, out, _ = call("list")
    assert code == 0
    for word in (
        "environment",
        "fragments",
        "oracle",
        "xtb",
        "surrogate",
        "gp",
        "acquisition",
        "ucb",
        "selector",
        "qed",
        "checked",
    ):
        assert word in out


def test_shipped_configs_are_valid_by_the_schema_and_a_typo_is_not() -> None:
    code, out, _ = call("schema")
    schema = json.loads(out)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    configs = sorted((ROOT / "configs").glob("*.yaml"))
    assert configs
    for path in configs:
        content = yaml.safe_load(path.read_text())
        validator.validate(content)
        assert not validator.is_valid({**content, "surogate": {"kind": "gp"}})


@pytest.mark.parametrize(("name", "kind"), [("property", "smarts"), ("constraints", "smarts"), ("surrogate", "gp")])
def test_a_heading_of_the_list_is_a_name_that_it_explains(name: str, kind: str) -> None:
    code, out, _ = call("list", name)
    assert code == 0
    assert f"  {kind}  " in out


def test_the_rewards_of_tune_language_are_those_that_its_config_accepts() -> None:
    from typing import get_args

    from al_loop.config.language_rewards import LANGUAGE_REWARDS
    from al_loop.language.config import RewardConfig

    assert get_args(RewardConfig.model_fields["kind"].annotation) == tuple(LANGUAGE_REWARDS)
