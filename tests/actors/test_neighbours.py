"""A user's own ``oracles.py``, ``actors/`` or ``queue.py`` beside the config, in every place that imports modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
AL_LOOP = Path(sys.executable).parent / "al-loop"
CONFIG = """
name: neighbours
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "MODULE:score"}
sampler: {steps: 2, batch_size: 8, pool: 16, hidden: 8}
rounds: {count: 1, batch_size: 2, initial: 3}
evaluation: {workers: 1, timeout_s: 60}
"""
ORACLE = "def score(word):\n    return float(word.count('A'))\n"
FILES = {
    "oracles.py": "oracles",
    "oracles/__init__.py": "oracles",
    "oracles/base.py": "oracles.base",  # a namespace package
    "actors.py": "actors",
    "actors/__init__.py": "actors",
    "actors/local.py": "actors.local",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which al_loop is importable as from a wheel: without the checkout around it."""
    (site := tmp_path / "site").mkdir()
    (site / "al_loop").symlink_to(ROOT / "al_loop")
    return os.environ | {"PYTHONPATH": str(site)}


@pytest.fixture
def checkout() -> dict[str, str]:
    """An environment in which the root of the checkout, with its ``oracles`` and ``actors``, is on the path."""
    return os.environ | {"PYTHONPATH": str(ROOT)}


def write(folder: Path, name: str, module: str, text: str = ORACLE) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / "run.yaml").write_text(CONFIG.replace("MODULE", module))


def run(
    folder: Path, environment: dict[str, str], *words: str, code: str | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code] if code else [str(AL_LOOP), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=400
    )


@pytest.mark.parametrize("name", ["oracles.py", "oracles/base.py", "actors/__init__.py"])
def test_a_campaign_and_its_workers_use_the_users_own_module(
    name: str, folder: Path, installed: dict[str, str]
) -> None:
    write(folder, name, FILES[name])
    done = run(folder, installed, "run", "run.yaml", "--quiet")
    assert done.returncode == 0, done.stderr
    code = "from al_loop import open_run\nwith open_run('runs/neighbours') as run: print(run.status().answered)"
    opened = run(folder, installed, code=code)
    assert opened.stdout == "5\n", opened.stderr
    assert "Deprecat" not in done.stderr + opened.stderr


#: loads a config for each line of its input, in a fork that has imported nothing but these libraries of others
LOADER = """
import json, os, sys
import gpytorch, scipy.stats, torch
for line in sys.stdin:
    config, folder, path, has_warnings = json.loads(line)
    if os.fork():
        os.wait()
        print(json.dumps(open("answer").read()), flush=True)
        continue
    sys.stdout = sys.stderr = open("answer", "w")
    os.chdir(folder)
    sys.path[:0] = path
    if not has_warnings:
        import warnings
        warnings.simplefilter("ignore")
    from al_loop import load_config
    from al_loop.errors import ConfigError
    try:
        load_config(config)
    except ConfigError as error:
        print(error)
    sys.exit()
"""


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A process whose forks load configs as the console script does, without the seconds that the imports take."""
    folder = tmp_path_factory.mktemp("loader")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", LOADER]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def load(
    loader: subprocess.Popen[str], config: Path, cwd: Path, environment: dict[str, str], *, has_warnings: bool = True
) -> str:
    """Load a config in a folder, and return the error and all else that is printed."""
    assert loader.stdin
    assert loader.stdout
    path = environment["PYTHONPATH"].split(os.pathsep)
    print(json.dumps([str(config), str(cwd), path, has_warnings]), file=loader.stdin, flush=True)
    answer: str = json.loads(loader.stdout.readline())
    return answer


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("oracles/base.py", "actors/local.py")])
@pytest.mark.parametrize("cwd", [None, ROOT], ids=["in its folder", "in the checkout"])
def test_beside_a_checkout_the_users_own_module_wins(
    name: str, cwd: Path | None, folder: Path, checkout: dict[str, str], loader: subprocess.Popen[str]
) -> None:
    write(folder, name, FILES[name])
    assert load(loader, folder / "run.yaml", cwd or folder, checkout) == ""


@pytest.mark.parametrize("name", ["oracles/base.py", "actors/local.py"])
def test_beside_a_checkout_a_folder_without_init_is_named(
    name: str, folder: Path, checkout: dict[str, str], loader: subprocess.Popen[str]
) -> None:
    """Python prefers a package with ``__init__.py`` anywhere on the path to a folder without one."""
    write(folder, name, FILES[name])
    error = load(loader, folder / "run.yaml", folder, checkout, has_warnings=False)
    assert f"not {folder}/{name.partition('/')[0]}; rename the latter" in error


@pytest.mark.parametrize("name", ["queue", "types", "test", "logging", "math", "numpy", "al_loop"])
def test_a_target_whose_name_is_taken_is_one_sentence(
    name: str, folder: Path, installed: dict[str, str], loader: subprocess.Popen[str]
) -> None:
    write(folder, f"{name}.py", name)
    (line,) = load(loader, folder / "run.yaml", folder, installed).splitlines()
    assert f"the module '{name}' has no 'score' (Python imports '{name}' from " in line
    assert f"not {folder}/{name}.py; rename the latter)" in line


def test_files_with_the_names_of_standard_modules_do_no_harm(folder: Path, installed: dict[str, str]) -> None:
    write(folder, "mine.py", "mine")
    for name in ("queue.py", "types.py", "random.py", "logging.py", "test.py", "socket.py"):
        (folder / name).write_text("raise RuntimeError('this is not the standard library')\n")
    done = run(folder, installed, "run", "run.yaml", "--quiet")
    assert done.returncode == 0, done.stderr


def test_run_as_a_module_al_loop_imports_no_file_of_the_user(folder: Path, installed: dict[str, str]) -> None:
    for name in ("random.py", "numpy.py", "typer.py", "yaml.py"):
        (folder / name).write_text("raise RuntimeError('this is not the library')\n")
    write(folder, "mine.py", "mine")
    command = [sys.executable, "-m", "al_loop", "sweep", "run.yaml", "seed=[0]", "seed=[1]"]
    done = subprocess.run(command, cwd=folder, env=installed, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: 'seed=[1]': 'seed' is swept over twice"), done.stderr


def test_a_program_that_an_oracle_starts_sees_its_own_folder(folder: Path, installed: dict[str, str]) -> None:
    """The option that hides a user's files from a worker's start is not inherited by the oracle's programs."""
    text = (
        "import subprocess, sys\n\ndef score(word):\n"
        "    return float(subprocess.run([sys.executable, 'program.py'], capture_output=True, text=True).stdout)\n"
    )
    write(folder, "mine.py", "mine", text)
    (folder / "helper.py").write_text("VALUE = 2.5\n")
    (folder / "program.py").write_text("from helper import VALUE\nprint(VALUE)\n")
    code = (
        "from al_loop import load_config\nfrom al_loop.actors.local import LocalWorker\n"
        "from al_loop.oracles.base import Call\n"
        "worker = LocalWorker(load_config('run.yaml'), 0)\n"
        "print([o.values for o in worker.call(['A'], 60.0, Call())])\nworker.close()\n"
    )
    done = run(folder, installed, code=code)
    assert done.stdout == "[(2.5,)]\n", done.stderr


@pytest.mark.parametrize("name", ["queue.py", "numpy.py", "yaml/__init__.py"])
def test_a_script_beside_such_files_imports_the_libraries(name: str, folder: Path, installed: dict[str, str]) -> None:
    """Python searches the folder of a script first; the worker has the same import path."""
    write(folder, "mine.py", "mine", "import queue, random\n\ndef score(word):\n    return float(len(word))\n")
    for each in (name, "random.py", "types.py", "utils.py", "test.py"):
        (folder / each).parent.mkdir(exist_ok=True)
        (folder / each).write_text("raise RuntimeError('this is not the library')\n")
    (folder / "script.py").write_text(
        "from al_loop import load_config\n"
        "from al_loop.actors.local import LocalWorker\nfrom al_loop.oracles.base import Call\n"
        "worker = LocalWorker(load_config('run.yaml'), 0)\n"
        "print([o.values for o in worker.call(['AC'], 60.0, Call())])\nworker.close()\n"
    )
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, env=installed, capture_output=True, text=True, check=False)
    assert done.stdout == "[(2.0,)]\n", done.stderr


def test_a_target_that_is_another_file_than_the_one_beside_the_config_is_refused(
    folder: Path, tmp_path: Path, installed: dict[str, str], loader: subprocess.Popen[str]
) -> None:
    write(folder, "utils.py", "utils")
    (tmp_path / "site" / "utils.py").write_text("def score(word):\n    return 1.0\n")
    (line,) = load(loader, folder / "run.yaml", folder, installed).splitlines()
    assert line.startswith(
        f"oracle.target: Python imports 'utils' from {tmp_path}/site/utils.py, not {folder}/utils.py"
    )
    (tmp_path / "site" / "utils.py").write_text(ORACLE)  # the same oracle
    assert load(loader, folder / "run.yaml", folder, installed) == ""
