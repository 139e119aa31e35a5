"""Imports point one way: the table of floors, and what each layer leaves unloaded in a fresh interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT = [
    "al_loop",
    "al_loop.errors",
    "al_loop.seeding",
    "al_loop.config.plugins",
    "al_loop.ledger",
    "al_loop.storage",
    "al_loop.people.ask",
    "al_loop.people.tell",
    "al_loop.datafiles.object_tables",
    "al_loop.oracles.base",
    "al_loop.modelling.objectives",
    "al_loop.people.review",
    "al_loop.monitoring.predictions",
    "al_loop.monitoring.metrics",
    "al_loop.monitoring.alarms",
    "al_loop.monitoring.stopping",
    "al_loop.monitoring.recalibration",
    "al_loop.modelling.transforms",
    "al_loop.oracles.joint",
    "al_loop.sinks",
    "al_loop.system.gpu",
    "al_loop.campaign.executor",
]
ENGINE = [
    "al_loop.environments.base",
    "al_loop.environments.hypergrid",
    "al_loop.environments.sequence",
    "al_loop.environments.fragments",
    "al_loop.environments.pool",
    "al_loop.features.molecules.circular",
    "al_loop.features.molecules.descriptors",
    "al_loop.gflownet.learner",
    "al_loop.gflownet.exact_distribution",
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
    "al_loop.modelling.feasibility",
    "al_loop.features.joined",
    "al_loop.modelling.fitter",
    "al_loop.modelling.reward",
    "al_loop.campaign",
    "al_loop.campaign.sampler_training",
]


def loaded_by(statement):
    code = f"{statement}\nimport sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_records_and_configs_load_neither_torch_nor_ray():
    heavy, modules = {"torch", "ray", "botorch", "rdkit"}, [*LIGHT, "al_loop.config"]
    if loaded_by(f"import {', '.join(modules)}") & heavy:
        assert [module for module in modules if loaded_by(f"import {module}") & heavy] == []


def test_an_oracle_worker_loads_nothing_that_its_oracle_does_not_need():
    heavy = {"torch", "ray", "botorch", "rdkit", "sqlalchemy", "pandas", "scipy", "numpy"}
    assert not loaded_by("import al_loop.actors.local, al_loop.oracles.wrap") & heavy


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


#: lowest first; a room may import from its own floor and from those below, lazily or not
FLOORS = [
    ["errors", "outgoing", "seeding", "smiles", "system"],
    ["oracles.base"],
    ["config", "ledger", "storage", "datafiles"],
    ["environments", "evolution", "features", "properties", "oracles", "language_models"],
    ["gflownet", "surrogates", "acquisitions", "selectors", "modelling", "monitoring", "sinks"],
    ["campaign", "energy", "latent", "language"],
    ["planning"],
    ["people", "analysis"],
    ["report"],
    ["actors"],
    ["cli", "client"],
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
AL_LOOP = ROOT / "al_loop"
#: may use what they test with
TESTING = "testing"
MAX_LINES = 400


def modules():
    """Map the dotted name of every module to its file, following the links to oracles and actors."""
    found = {}
    for folder in (AL_LOOP, ROOT / "oracles", ROOT / "actors"):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if parts[0] == "al_loop" else ("al_loop", *parts))
            found[name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def room_of(module):
    """Return the room of a module below al_loop: its first component, or ``oracles.base``."""
    parts = module.split(".")[1:]
    return "oracles.base" if parts[:2] == ["oracles", "base"] else parts[0] if parts else ""


def imports_of(path, *, only_at_import=False):
    """Yield the names of the modules of al_loop that a file imports, lazily and for types too unless told otherwise."""
    pending = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module or "" for name in names)
        elif only_at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif not (only_at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            pending += [
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)
            ]


def arrows():
    """Yield (module, imported module of another room or file) for everything but the package's own front."""
    for module, path in MODULES.items():
        if module == "al_loop" or module.rpartition(".")[2] == TESTING:
            continue
        for name in set(imports_of(path)):
            if name.startswith("al_loop.") and name in MODULES and name != module:
                yield module, name


def test_every_room_has_a_floor():
    assert {room_of(module) for module in MODULES} - set(FLOOR_OF) - {"", "__main__"} == set()


def test_no_room_imports_from_a_floor_above():
    upward = [
        (module, name)
        for module, name in arrows()
        if module != "al_loop.__main__" and FLOOR_OF[room_of(module)] < FLOOR_OF[room_of(name)]
    ]
    assert upward == []


def circles(graph):
    """Return the strongly connected components of more than one node (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def graph_of(pairs):
    graph = {}
    for start, end in pairs:
        if start != end:
            graph.setdefault(start, set()).add(end)
    return graph


def test_no_rooms_import_each_other():
    assert circles(graph_of((room_of(module), room_of(name)) for module, name in arrows())) == []


def test_no_modules_import_each_other():
    assert circles(graph_of(arrows())) == []


def test_the_top_level_holds_packages_and_at_most_four_small_modules():
    modules_at_top = {p.stem for p in AL_LOOP.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules_at_top) <= 4, modules_at_top
    assert len(list(AL_LOOP.iterdir())) <= 38


def test_no_file_is_longer_than_the_limit():
    lengths = {m: len(p.read_text(encoding="utf-8").splitlines()) for m, p in MODULES.items()}
    assert {m: n for m, n in lengths.items() if n > MAX_LINES} == {}


def test_no_private_name_crosses_a_module():
    crossing = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("al_loop"):
                here, there = module.split("."), node.module.split(".")
                names = [a.name for a in node.names if a.name.startswith("_") and not a.name.endswith("__")]
                private = [i for i, part in enumerate(there) if part.startswith("_")]
                # a helper module `_x` belongs to its folder; nobody outside imports it
                outside = [part for i in private for part in [there[i]] if here[:i] != there[:i]]
                modules_named = [n for n in names if f"{node.module}.{n}" in MODULES and here[: len(there)] == there]
                crossing += [(module, node.module, n) for n in [*outside, *(set(names) - set(modules_named))]]
    assert crossing == []


def test_every_package_says_what_it_is_for():
    packages = [p for m, p in MODULES.items() if p.name == "__init__.py"]
    assert [str(p) for p in packages if not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))] == []


def test_ray_is_imported_by_actors_alone():
    guilty = [
        module
        for module, path in MODULES.items()
        if room_of(module) != "actors" and any(m.split(".")[0] == "ray" for m in imports_of(path, only_at_import=True))
    ]
    assert guilty == []


def test_an_environment_knows_no_reward_and_an_oracle_neither():
    forbidden = {
        "environments": ("modelling", "surrogates", "acquisitions", "oracles", "oracles.base"),
        "gflownet": ("modelling", "surrogates", "acquisitions", "oracles", "oracles.base", "campaign", "ledger"),
        "surrogates": ("environments", "gflownet", "oracles", "oracles.base"),
        "oracles": ("environments", "gflownet", "surrogates", "campaign"),
    }
    guilty = [(module, name) for module, name in arrows() if room_of(name) in forbidden.get(room_of(module), ())]
    assert guilty == []
