"""Every benchmark imports, what it imports from the project exists, and so does every path named in prose."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*/*.py") if path.name != "__init__.py")
COMMANDS = [path for path in SCRIPTS if path.parent.name != "support"]
OWN = ("al_loop", "benchmarks")
#: packages of the peers' environment (`make peers`)
PEERS = {"torchgfn_tasks": "gfn", "gfnx_hypergrid": "gfnx"}
PROSE = (".md", ".yaml", ".py", ".toml", ".ipynb", "Makefile")


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_benchmark_imports(path: Path) -> None:
    peer = PEERS.get(path.stem)
    if peer and importlib.util.find_spec(peer) is None:
        pytest.skip(f"needs {peer}, which `make peers` installs")
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def imports(source: str) -> Iterator[tuple[str, str | None]]:
    """Yield module and name of every import, also of those in functions and in the text of programs."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\nfrom al_loop" in node.value:
            yield from imports(node.value)


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_what_a_benchmark_imports_from_the_project_exists(path: Path) -> None:
    for module, name in imports(path.read_text(encoding="utf-8")):
        if module.partition(".")[0] not in OWN:
            continue
        loaded = importlib.import_module(module)
        if name is not None and not hasattr(loaded, name):
            importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_a_command_shows_how_it_is_called_and_the_readme_lists_it(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    assert f" {place}" in (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    if path.parent.name != "peers":
        assert f"`{name_of(path)}`" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_a_command_finds_the_other_benchmarks_without_pythonpath(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    own = [line for line in body if isinstance(line, ast.ImportFrom) and (line.module or "").startswith("benchmarks")]
    added = [line for line in body if isinstance(line, ast.Expr) and "sys.path.append(" in ast.unparse(line)]
    assert not own or (added and added[0].lineno < own[0].lineno)


def test_every_benchmark_and_result_that_is_named_somewhere_exists() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [ROOT / line for line in listed.splitlines() if line.endswith(PROSE)]
    if not files:
        pytest.skip("not a git checkout")
    named = {}
    for path in files:
        if path.is_file():
            for place in re.findall(r"\b(?:tests/)?benchmarks/[\w/]+(?:\.\w+)+", path.read_text(encoding="utf-8")):
                named.setdefault(place, path)
    assert len(named) > 20
    assert {place: path for place, path in named.items() if not (ROOT / place).exists()} == {}


def test_results_named_in_the_readme_exist() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+\.(?:csv|png))`", text):
        assert (FOLDER / "results" / name).exists(), name
