"""Old import paths of al-loop's modules, and modules of a user that have such a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which al_loop is importable as from a wheel: without the checkout around it."""
    (site := tmp_path / "site").mkdir()
    (site / "al_loop").symlink_to(ROOT / "al_loop")
    return {"PYTHONPATH": str(site)}


def run(code: str, folder: Path, environment: dict[str, str]) -> str:
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", f"import al_loop\n{code}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("package", ["oracles", "actors"])
@pytest.mark.parametrize("module", ["callable", "base", "local"])
@pytest.mark.parametrize("files", [("__init__.py",), ()], ids=["package", "namespace"])
def test_below_a_package_of_the_user_every_module_is_the_users(
    package: str, module: str, files: tuple[str, ...], tmp_path: Path, installed: dict[str, str]
) -> None:
    (folder := tmp_path / "work").mkdir()
    (folder / package).mkdir()
    for name in (f"{module}.py", *files):
        (folder / package / name).write_text("OURS = True\n")
    assert run(f"import {package}.{module} as m; print(m.OURS)", folder, installed) == "True\n"


def test_an_old_name_is_the_module_of_the_new_name_with_a_warning(tmp_path: Path, installed: dict[str, str]) -> None:
    code = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from oracles.callable import oracle; import oracles.base; from al_loop.oracles import base, wrap\n"
        "print(oracle is wrap.oracle, oracles.base is base)"
    )
    assert run(code, tmp_path, installed) == "True True\n"
    assert "the module oracles is now al_loop.oracles; import it from there" in run(
        "import oracles.callable", tmp_path, installed
    )
