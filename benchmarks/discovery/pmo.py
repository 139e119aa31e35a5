"""Five tasks of the PMO benchmark (Gao et al. 2022): AUC-top10 within 10,000 counted calls, or 1,000.

    python benchmarks/discovery/pmo.py albuterol_similarity               # 10,000 calls
    python benchmarks/discovery/pmo.py albuterol_similarity --short       # 1,000 calls

The score is the area under the mean of the ten best distinct molecules against the calls, taken every 100 calls,
divided by the calls; the objectives are GuacaMol's. All arms begin with the same 100 random molecules of ZINC250k,
which are paid for. No label is uncounted: nothing is known of ZINC250k but its structures. One setting for all tasks.
`distance` is the mean Tanimoto distance of the 100 best molecules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import get_args

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.oracles.guacamol.tasks import TASKS, TaskName
from al_loop.smiles import read_smiles
from benchmarks.support.discovery import Measured, Task, best_values, run
from benchmarks.support.molecules import LOOP, area, diversity, molecule_arms, random_zinc, values_of

N_START = 100
#: AUC-top10 at 10,000 calls, published (Kim et al. 2024; Gao et al. 2022)
PEERS: Mapping[str, Mapping[str, float]] = {
    name: dict(zip(("Genetic-GFN", "Mol GA", "REINVENT", "Graph GA", "GP-BO"), values, strict=True))
    for name, values in {
        "albuterol_similarity": (0.949, 0.896, 0.882, 0.838, 0.898),
        "fexofenadine_mpo": (0.856, 0.825, 0.784, 0.760, 0.722),
        "ranolazine_mpo": (0.819, 0.804, 0.760, 0.728, 0.735),
        "perindopril_mpo": (0.595, 0.547, 0.537, 0.538, 0.493),
        "isomers_c7h8n2o2": (0.969, 0.878, 0.852, 0.862, 0.680),
    }.items()
}


@cache
def start(name: TaskName, seed: int) -> Sequence[tuple[str, float]]:
    """Return the first molecules and their scores, the same for all arms.

    Args:
        name: of the task.
        seed: of the run.
    """
    return [(smiles, TASKS[name](read_smiles(smiles))) for smiles in random_zinc(N_START, seed, set())]


def figures(budget: int) -> Callable[[Sequence[Measured]], Mapping[str, float]]:
    """Return the figures of a run of a number of calls."""

    def of(measured: Sequence[Measured]) -> Mapping[str, float]:
        names, values = best_values(measured, 100)
        return {
            "auc": area(values_of(measured), budget),
            "top10": float(values[:10].mean()),
            "best": float(values[0]),
            "distance": diversity(names),
        }

    return of


def task(name: TaskName, budget: int) -> Task:
    """Return a task of PMO with a number of calls, of which the first 100 are the start."""
    batch = 150 if budget > 1000 else 50
    suffix = "" if budget > 1000 else "_1000"
    return Task(
        name=f"pmo_{name}{suffix}",
        title=f"{name}, {budget:,} calls",
        content={
            **LOOP,
            "oracle": {"kind": "guacamol", "task": name},
            "rounds": {"initial": 0, "batch_size": batch, "count": (budget - N_START) // batch},
            "evaluation": {"workers": 1},
        },
        data=lambda seed: start(name, seed),
        counts_data=True,
        figures=figures(budget),
        column="auc",
        level=max(PEERS[name]["Graph GA"], PEERS[name]["GP-BO"]) if budget > 1000 and name in PEERS else None,
        peers=PEERS.get(name, {}) if budget > 1000 else {},
    )


if __name__ == "__main__":
    is_short = "--short" in sys.argv
    chosen = [argument for argument in sys.argv[1:] if argument in get_args(TaskName)]
    for argument in [*chosen, *(["--short"] if is_short else [])]:
        sys.argv.remove(argument)
    for one in chosen or list(PEERS):
        run(task(one, 1000 if is_short else 10000), molecule_arms(), __doc__)  # type: ignore[arg-type]
