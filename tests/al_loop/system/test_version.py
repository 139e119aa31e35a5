import re
import tomllib
from pathlib import Path

import pytest

import al_loop
from al_loop.system import version

ROOT = Path(__file__).parents[3]


def test_the_version_is_that_of_the_checkout() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert al_loop.__version__ == version.version() == project["version"]


def test_without_a_checkout_it_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    monkeypatch.setattr(version.metadata, "version", lambda name: f"9.8.7 of {name}")
    version.version.cache_clear()
    try:
        assert version.version() == "9.8.7 of al-loop"
        (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')  # of who vendors it
        version.version.cache_clear()
        assert version.version() == "9.8.7 of al-loop"
    finally:
        version.version.cache_clear()


def test_the_changelog_has_a_heading_for_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[:2] == ["Unreleased", al_loop.__version__]


def test_the_citation_has_the_version() -> None:
    assert f"version: {al_loop.__version__}\n" in (ROOT / "CITATION.cff").read_text()
