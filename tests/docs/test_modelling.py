"""The guide to modelling: every snippet is a valid part of a config, and names parts that exist."""

import re
from pathlib import Path

import pytest
import yaml

from al_loop.config import parse_config

GUIDE = (Path(__file__).parents[2] / "docs" / "modelling.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
BASE = {"name": "x", "environment": {"kind": "fragments"}, "oracle": {"kind": "xtb"}}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet.split(":")[0] for snippet in SNIPPETS])
def test_a_snippet_is_a_valid_part_of_a_config(snippet):
    parse_config({**BASE, **yaml.safe_load(snippet)})


def test_every_kind_that_the_guide_names_is_there():
    from al_loop.config import plugins as parts

    known = {
        info.kind
        for section in ("surrogate", "acquisition", "selector", "features", "property")
        for info in parts.built_in(section)
    }
    named = set(re.findall(r"\| `(\w+)` \|", GUIDE)) | set(re.findall(r"kind: (\w+)", GUIDE))
    assert named - known <= {"joint", "product"}
    assert len(named) > 15
