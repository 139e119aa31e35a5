"""The Python of the page on energies runs as written, and its YAML is valid."""

import re
from pathlib import Path

import yaml

from al_loop.config.energy_terms import EnergyTerm

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "energies.md").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        exec(block, {})
    assert (tmp_path / "energy.pt").exists()


def test_its_yaml_is_valid():
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    content = yaml.safe_load(block)
    assert EnergyTerm.model_validate(content["reward"]["energy"]).weight == 1.0
    assert content["rounds"]["initial_from"] == "energy"
