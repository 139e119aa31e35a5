"""What the discovery benchmarks on molecules share: ZINC250k, and the arms of a search over all of chemistry.

Random molecules and the start of every arm are drawn from ZINC250k. The genetic algorithms use the operators of
``graph_edits``; the loop uses them, too, on its acquisition, beside the draws of its GFlowNet.
"""

from __future__ import annotations

import lzma
import pickle
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from al_loop.evolution.graph_edits import GraphEdits
from al_loop.features.base import describable
from al_loop.features.morgan import Morgan
from al_loop.seeding import derive_seed
from al_loop.smiles import canonical_smiles
from al_loop.surrogates.base import SurrogateModel, as_surrogate_model
from benchmarks.support.discovery import Arm, CountedOracle, Measured, best_values
from benchmarks.support.discovery_arms import ABLATIONS as USUAL
from benchmarks.support.discovery_arms import batch_sizes, loop, loop_without_uncertainty, loops

DATA = Path(__file__).parents[1] / "data"
_SCREENED = 10  # random molecules that greedy screens, in batches
_MOST_BROODS = 50  # attempts to fill a batch with new children

#: the loop's config in all tasks on molecules: chosen on the seeds from 100 on, on all tasks together
LOOP: Mapping[str, Any] = {
    "environment": {"kind": "fragments", "max_fragments": 8, "max_atoms": 50},
    "surrogate": {"kind": "gp", "max_rows": 1000},
    "reward": {"beta": 4},
    "sampler": {
        "steps": 2, "batch_size": 16, "pool": 128, "measured_size": 16, "replay_size": 0,
        "evolution": {
            "kind": "graph_edits", "children": 750, "generations": 1, "population": 200,
            "library": str(DATA / "zinc250k.smi.xz"),
        },
    },
}  # fmt: skip

#: what is taken out of the loop -> the changes of its config
ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "loop, no diversity": USUAL["loop, no diversity"],
    "loop, no graph edits": {"sampler": {"evolution": None}},
    "loop, no replay": {"sampler": {"measured_size": 0}},
    "loop, no prior": {"sampler": {"prior": "none"}},
    "loop, deep search": {  # the highest acquisitions alone, after three generations on it
        "selector": {"kind": "greedy"},
        "sampler": {"evolution": {**LOOP["sampler"]["evolution"], "children": 250, "generations": 3}},
    },
}


@cache
def zinc() -> tuple[str, ...]:
    """Return the SMILES of ZINC250k, as they are in the file."""
    with lzma.open(DATA / "zinc250k.smi.xz", "rt") as file:
        return tuple(file.read().split())


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what a file below ``runs/discovery`` has; it is made on first use."""
    path = Path("runs/discovery") / name
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(made))
    return pickle.loads(path.read_bytes())


def random_zinc(n: int, seed: int, closed: set[str], acceptable: Callable[[list[str]], list[str]] = list) -> list[str]:
    """Return the canonical SMILES of n random molecules of ZINC250k, without duplicates.

    Args:
        n: number of molecules.
        seed: of the choice.
        closed: molecules that are left out.
        acceptable: selects those that may be measured.
    """
    rng, found = random.Random(seed), dict[str, None]()
    while len(found) < n:
        names = [canonical_smiles(rng.choice(zinc())) for _ in range(2 * (n - len(found)))]
        found.update(dict.fromkeys(acceptable([name for name in names if name is not None and name not in closed])))
    return list(found)[:n]


def diversity(names: Sequence[str]) -> float:
    """Return the mean Tanimoto distance of all pairs, on 2,048 Morgan bits of radius 2."""
    if len(names) < 2:
        return 0.0
    features = Morgan(counts=False)
    X = features(names)
    similarity = features.similarity(X, X).numpy()
    return float(1 - (similarity.sum() - len(names)) / (len(names) * (len(names) - 1)))


def area(values: Sequence[float], budget: int, k: int = 10, step: int = 100) -> float:
    """Return PMO's AUC: the area under the mean of the k best against the calls, by trapezoids, over the budget.

    A run that has used fewer calls is padded with its last value.

    Args:
        values: of the calls, in their order.
        budget: calls of a whole run.
        k: number of the best.
        step: calls between two points.
    """
    total, previous, called = 0.0, 0.0, 0
    values = list(values)[:budget]
    for end in range(step, len(values), step):
        now = float(np.mean(sorted(values[:end])[-k:]))
        total += step * (now + previous) / 2
        previous, called = now, end
    now = float(np.mean(sorted(values)[-k:]))
    total += (len(values) - called) * (now + previous) / 2
    return (total + (budget - len(values)) * now) / budget


def _start(oracle: CountedOracle) -> None:
    """Measure the first batch of an arm, if the task has no data: the same random molecules for each arm."""
    if not oracle.history:
        oracle(random_zinc(batch_sizes(oracle)[0], oracle.seed, set(), oracle.parts.constraints.acceptable))


def _highest(names: Sequence[str], scores: Sequence[float], n: int) -> list[str]:
    return [name for _, name in sorted(zip(scores, names, strict=True), key=lambda pair: -pair[0])][:n]


def _n_next(oracle: CountedOracle) -> int:
    return min(oracle.batch_size, oracle.n_left)


def screen(oracle: CountedOracle, folder: Path) -> None:
    """Measure random molecules of ZINC250k."""
    _start(oracle)
    while oracle.n_left:
        seed = derive_seed(oracle.seed, "screen", oracle.n_calls)
        oracle(random_zinc(_n_next(oracle), seed, set(oracle.known), oracle.parts.constraints.acceptable))


def _ranked(oracle: CountedOracle, n: int) -> list[str]:
    return best_values(oracle.history, n)[0]


def genetic(oracle: CountedOracle, folder: Path, population: int = 100) -> None:
    """Measure children of the best measured molecules, made by graph edits and crossover.

    Args:
        oracle: of the run.
        folder: unused.
        population: number of the best molecules that have children.
    """
    _start(oracle)
    edits, rng = GraphEdits(), random.Random(derive_seed(oracle.seed, "genetic"))
    while oracle.n_left:
        n, known, found = _n_next(oracle), oracle.known, dict[str, None]()
        for _ in range(_MOST_BROODS):
            new = [name for name in edits.brood(_ranked(oracle, population), n, rng) if name not in known]
            found.update(dict.fromkeys(oracle.parts.constraints.acceptable(new)))
            if len(found) >= n:
                break
        oracle(list(found)[:n])


def _fitted(oracle: CountedOracle) -> SurrogateModel:
    """Return the loop's surrogate, fitted to all measurements that have a value, standardised."""
    names, values = best_values(oracle.history, len(oracle.history))
    y = torch.from_numpy((values - values.mean()) / max(values.std(), 1e-9))
    return as_surrogate_model(oracle.parts.surrogate.fit(oracle.parts.features(names), y[:, None]))


def _means(oracle: CountedOracle, model: SurrogateModel, names: Sequence[str]) -> list[float]:
    return [float(m) for m in model.mean_and_variance(oracle.parts.features(names))[0]]


def greedy(oracle: CountedOracle, folder: Path) -> None:
    """Measure the molecules of ZINC250k that the loop's surrogate expects most of, of ten batches of random ones."""
    _start(oracle)
    while oracle.n_left:
        n, seed = _n_next(oracle), derive_seed(oracle.seed, "greedy", oracle.n_calls)
        names = random_zinc(_SCREENED * n, seed, set(oracle.known), oracle.parts.constraints.acceptable)
        oracle(_highest(names, _means(oracle, _fitted(oracle), names), n))


def genetic_on_surrogate(oracle: CountedOracle, folder: Path) -> None:
    """Measure the best molecules that the genetic algorithm finds under the mean of the loop's surrogate."""
    _start(oracle)
    edits = oracle.parts.evolution or GraphEdits()

    def acceptable(names: Sequence[str]) -> list[str]:
        return describable(oracle.parts.features, oracle.parts.constraints.acceptable(list(names)))

    while oracle.n_left:
        known, score = oracle.known, partial(_means, oracle, _fitted(oracle))
        seed = derive_seed(oracle.seed, "genetic", oracle.n_calls)
        made = edits.evolve(_ranked(oracle, edits.population), score, acceptable, seed)
        new = [name for name in made if name not in known]
        oracle(_highest(new, score(new), _n_next(oracle)))


def molecule_arms() -> dict[str, Arm]:
    """Return the arms of a search for molecules."""
    arms: dict[str, Arm] = {
        "loop": loop, "random": screen, "greedy": greedy, "genetic": genetic,
        "genetic on surrogate": genetic_on_surrogate,
    }  # fmt: skip
    return arms | {"loop, no uncertainty": loop_without_uncertainty} | loops(ABLATIONS)


def values_of(measured: Sequence[Measured]) -> list[float]:
    """Return the values of distinct molecules in the order of their calls; a failure counts as 0."""
    return [0.0 if np.isnan(v) else v for v in {m.object: m.value for m in measured}.values()]
