from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from al_loop.config import Part, build
from al_loop.config import plugins as parts
from al_loop.errors import ConfigError
from al_loop.sinks import Sink, Sinks
from al_loop.sinks.jsonl import JSONLines
from al_loop.sinks.mlflow import MLflow
from al_loop.sinks.wandb import WeightsAndBiases
from tests.support.sinks import CONFIG

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("sink", [MLflow, WeightsAndBiases])
def test_a_missing_library_is_refused_with_what_to_install(sink: type[Sink], monkeypatch: pytest.MonkeyPatch) -> None:
    kind = sink.kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ConfigError, match=re.escape(f"pip install 'al-loop[{kind}]'")):
        Sinks([sink()])


@pytest.mark.parametrize("kind", ["jsonl", "mlflow", "wandb"])
def test_sinks_are_parts_and_take_no_credentials(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROOMS", {**parts.ROOMS, "sink": "al_loop.sinks"})
    assert kind in {info.kind for info in parts.built_in("sink")}
    fields = set(parts.arguments_model(parts.find("sink", kind)).model_fields)
    assert fields
    assert not {f for f in fields if re.search("token|key|password|secret|user", f)}


def test_sinks_load_no_library_before_a_campaign_starts() -> None:
    code = (
        "import al_loop.sinks, al_loop.sinks.jsonl, al_loop.sinks.mlflow, al_loop.sinks.wandb, sys\n"
        "print({'torch', 'ray', 'mlflow', 'wandb', 'rdkit'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_sink_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        (ROOT / "docs" / "watching.md").read_text(encoding="utf-8").split("## A sink of your own")[1].split("\n## ")[0]
    )
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (config,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "my_sinks.py").write_text(snippet, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (part,) = [Part.model_validate(p) for p in yaml.safe_load(config)["sinks"]]
    notes: list[str] = []
    sinks = Sinks([build("sink", part)], notes.append, patience_s=60)
    sinks.begin("found", "uid1", CONFIG)
    for number, best in enumerate([1.0, 1.0, 2.5]):
        sinks.log(number, {"best": best})
    sinks.end("finished")
    assert notes == []
    assert (tmp_path / "improvements.txt").read_text() == "found, round 0: 1\nfound, round 2: 2.5\n"


def test_the_sinks_of_the_documentation_are_built_by_their_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROOMS", {**parts.ROOMS, "sink": "al_loop.sinks"})
    text = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    config = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    made = [build("sink", Part.model_validate(p)) for p in config["sinks"]]
    assert [type(sink) for sink in made] == [MLflow, WeightsAndBiases, JSONLines]
