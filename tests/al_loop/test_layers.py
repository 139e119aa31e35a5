"""Imports point one way: what each layer leaves unloaded, seen in a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = [
    "al_loop",
    "al_loop.errors",
    "al_loop.seeds",
    "al_loop.parts",
    "al_loop.ledger",
    "al_loop.storage",
    "al_loop.lab",
    "al_loop.tables",
    "oracles.base",
    "al_loop.wanted",
    "al_loop.review",
    "al_loop.predictions",
    "al_loop.trust",
    "al_loop.transforms",
    "oracles.joint",
    "al_loop.sinks",
    "al_loop.utilisation",
    "al_loop.execution",
]
ENGINE = [
    "al_loop.environments.base",
    "al_loop.environments.hypergrid",
    "al_loop.environments.sequence",
    "al_loop.environments.fragments",
    "al_loop.environments.pool",
    "al_loop.gflownet.learner",
    "al_loop.gflownet.exact",
    "al_loop.gflownet.pipeline",
]
LOOP = [
    "al_loop.surrogates.gp",
    "al_loop.acquisitions.ucb",
    "al_loop.acquisitions.qlogei",
    "al_loop.acquisitions.thompson",
    "al_loop.selectors.diverse",
    "al_loop.selectors.sequential",
    "al_loop.features.morgan",
    "al_loop.acquisitions.qlognehvi",
    "al_loop.acquisitions.multi_fidelity_mes",
    "al_loop.surrogates.multi_fidelity",
    "al_loop.surrogates.feasibility",
    "al_loop.features.joined",
    "al_loop.belief",
    "al_loop.reward",
    "al_loop.campaign",
    "al_loop.training",
]


def loaded_by(statement):
    code = f"{statement}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", [*LIGHT, "al_loop.config"])
def test_records_and_configs_load_neither_torch_nor_ray(module):
    assert not loaded_by(f"import {module}") & {"torch", "ray", "botorch", "rdkit"}


def test_analysis_loads_neither_torch_nor_ray():
    assert not loaded_by("from al_loop import open_run") & {"torch", "ray", "botorch"}


def test_the_public_oracle_names_load_neither_torch_nor_ray():
    statement = "from al_loop import Failure, Fidelity, Objective, Oracle, OracleError, Outcome, current_call, oracle"
    assert not loaded_by(statement) & {"torch", "ray", "botorch", "rdkit"}


@pytest.mark.parametrize("modules", [ENGINE], ids=["engine"])
def test_the_engine_needs_torch_alone(modules):
    loaded = loaded_by(f"import {', '.join(modules)}")
    assert "torch" in loaded
    assert not loaded & {"ray", "rdkit", "botorch", "gpytorch", "pandas", "sqlalchemy", "pydantic", "matplotlib"}


def test_training_on_words_needs_torch_alone():
    statement = (
        "import torch; from al_loop.environments.sequence import Sequences\n"
        "from al_loop.gflownet import Training, train\n"
        "train(Sequences('AC', 3), lambda o: torch.zeros(len(o)), Training(steps=1, batch_size=2, hidden=4))"
    )
    assert not loaded_by(statement) & {"ray", "rdkit", "botorch", "gpytorch", "pandas"}


@pytest.mark.slow
def test_the_loop_needs_no_ray():
    assert "ray" not in loaded_by(f"import {', '.join(LOOP)}")


def module_level_imports(path):
    """Names of the modules that a file imports when it is itself imported."""
    pending = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_ray_is_imported_by_actors_alone():
    guilty = [p for p in files("al_loop", "oracles") if any(m.split(".")[0] == "ray" for m in module_level_imports(p))]
    assert guilty == []


def test_al_loop_never_imports_actors_at_module_level():
    guilty = [
        p for p in files("al_loop", "oracles") if any(m.split(".")[0] == "actors" for m in module_level_imports(p))
    ]
    assert guilty == []


def test_an_environment_knows_no_reward_and_an_oracle_neither():
    forbidden = {
        "al_loop/environments": ("al_loop.reward", "al_loop.surrogates", "al_loop.acquisitions", "oracles"),
        "al_loop/gflownet": ("al_loop.reward", "al_loop.surrogates", "al_loop.acquisitions", "oracles"),
        "al_loop/surrogates": ("al_loop.environments", "al_loop.gflownet", "oracles"),
        "oracles": ("al_loop.environments", "al_loop.gflownet", "al_loop.surrogates", "al_loop.campaign"),
    }
    guilty = [
        (str(path.relative_to(ROOT)), module)
        for folder, names in forbidden.items()
        for path in files(folder)
        for module in module_level_imports(path)
        if module.startswith(names) and path.name != "testing.py"
    ]
    assert guilty == []
