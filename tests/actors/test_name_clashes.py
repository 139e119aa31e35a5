"""Modules of a user that have the name of a library."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from al_loop.actors.name_clashes import LIBRARIES, refuse_shadows, refuse_shadows_here
from al_loop.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_libraries_are_those_that_al_loop_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"\W", line.lower())[0] for line in project["dependencies"]}
    assert names - {"pyyaml", "scikit"} | {"yaml", "sklearn", "al_loop"} == LIBRARIES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("queue.py", "a module of Python's standard library"),
        ("torch.py", "a library that al-loop needs"),
        ("yaml/__init__.py", "a library that al-loop needs"),
        ("al_loop.py", "al-loop"),
    ],
)
def test_a_module_with_the_name_of_a_library_is_refused_in_one_sentence(
    name: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    top = name.partition("/")[0]
    sentence = f"{tmp_path / top} has the name of {message}, and would be imported in place of it by the job; rename it"
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}, e.g. to my_{top}$"):
        refuse_shadows(tmp_path, [file], "by the job")


def test_other_names_and_the_checkout_of_al_loop_itself_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("oracles.py", "actors/__init__.py", "test.py", "utils.py", "sub/queue.py", "numpy/data.py", "torch.yaml")
    refuse_shadows(tmp_path, [tmp_path / name for name in names], "by the job")
    monkeypatch.chdir(ROOT)
    refuse_shadows_here("by Ray's workers")
