"""The page on language models: its Python runs as written, its configs are valid, and its command exists."""

import re
from pathlib import Path

import pytest
import yaml

from al_loop.config.task_files import parse_task
from al_loop.language.config import LanguageConfig, parts_of
from al_loop.language_models import loading

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "language.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_its_python_runs(tmp_path, monkeypatch):
    pytest.importorskip("peft")
    monkeypatch.chdir(tmp_path)
    values = {}
    for block in blocks("python"):
        exec(block, values)
    assert (tmp_path / "adapter.pt").exists()
    loading._load.cache_clear()


def test_its_tuning_config_is_valid():
    (text,) = [block for block in blocks("yaml") if "tune:" in block]
    config = parse_task(yaml.safe_load(text), LanguageConfig, parts_of)
    assert config.tune.allowed == list("0123456789")
    assert config.tune.end == "\n"
