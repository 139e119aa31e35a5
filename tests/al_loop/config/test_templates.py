from pathlib import Path

import pytest

from al_loop.config import load_config
from al_loop.config.templates import TEMPLATES, template_text, write_template
from al_loop.errors import ConfigError
from tests.support.configs import SHIPPED


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_valid_config_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    config = load_config(write_template(name, tmp_path / "mine.yaml"))
    assert config.name == "mine"


def test_a_template_names_its_own_file_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = write_template("lab", Path("assay.yaml")).read_text()
    assert "al-loop run assay.yaml" in text
    assert "al-loop ask runs/assay" in text


def test_shipped_configs_are_templates_too() -> None:
    for path in SHIPPED:
        if path.stem not in TEMPLATES:
            assert template_text(path.stem) == path.read_text(encoding="utf-8")


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_template("lab", tmp_path / "a.yaml")
    assert (tmp_path / "a.yaml").read_text() == "mine"
    write_template("lab", tmp_path / "a.yaml", is_replacing=True)
    assert (tmp_path / "a.yaml").read_text() != "mine"


@pytest.mark.parametrize("name", ["quickstrat", "../lab", "nowhere/x"])
def test_an_unknown_template_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is not one of quickstart, lab"):
        template_text(name)
