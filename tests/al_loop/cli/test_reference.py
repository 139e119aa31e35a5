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
    ):
        assert word in out


def test_shipped_configs_are_valid_by_the_schema_and_a_typo_is_not() -> None:
    code, out, _ = call("schema")
    schema = json.loads(out)
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(schema)
    configs = sorted((ROOT / "configs").glob("*.yaml"))
    assert configs
    for path in configs:
        content = yaml.safe_load(path.read_text())
        jsonschema.validate(content, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**content, "surogate": {"kind": "gp"}}, schema)
