"""Five tasks of the PMO benchmark (Gao et al. 2022): AUC-top10 within 10,000 counted calls.

    python benchmarks/discovery/pmo.py albuterol_similarity --calls 2000

The score is the area under the mean of the ten best distinct molecules against the calls, taken every 100 calls,
divided by 10,000; a run that ends earlier (`--calls`) is padded with its last mean, as in the protocol. `auc_1000` is
the same at 1,000 calls. The objectives are GuacaMol's. All arms begin with the same 100 random molecules of ZINC250k,
which are paid for. No label is uncounted: nothing is known of ZINC250k but its structures. One setting for all tasks.
`distance` is the mean Tanimoto distance of the 100 best molecules.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.oracles.guacamol.tasks import TASKS, TaskName
from al_loop.smiles import read_smiles
from benchmarks.support.discovery import Measured, Task, best_values, run
from benchmarks.support.molecules import LOOP, area, diversity, molecule_arms, random_zinc, values_of

N_START, BATCH, BUDGET = 100, 100, 10000
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


def figures(measured: Sequence[Measured]) -> Mapping[str, float]:
    """Return the AUC-top10 of a run, padded to 10,000 calls, the same at 1,000 calls, and the best that was found."""
    names, values = best_values(measured, 100)
    scores = values_of(measured)
    return {
        "auc": area(scores, BUDGET),
        "auc_1000": area(scores, 1000),
        "top10": float(values[:10].mean()),
        "best": float(values[0]),
        "distance": diversity(names),
    }


def task(name: TaskName, n_calls: int = BUDGET) -> Task:
    """Return a task of PMO.

    Args:
        name: of the task.
        n_calls: calls of a run, of which the first 100 are the start.
    """
    peers = PEERS.get(name, {})
    return Task(
        name=f"pmo_{name}",
        title=f"{name}, {n_calls:,} of {BUDGET:,} calls",
        content={
            **LOOP,
            "oracle": {"kind": "guacamol", "task": name},
            "rounds": {"initial": 0, "batch_size": BATCH, "count": (n_calls - N_START) // BATCH},
            "evaluation": {"workers": 1},
        },
        data=lambda seed: start(name, seed),
        counts_data=True,
        figures=figures,
        column="auc",
        level=max(peers["Graph GA"], peers["GP-BO"]) if peers else None,
        peers=peers,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("tasks", nargs="*", default=list(PEERS))
    parser.add_argument("--calls", type=int, default=BUDGET)
    mine, rest = parser.parse_known_args()
    chosen = [name for name in mine.tasks if name in TASKS]
    sys.argv = [sys.argv[0], *[name for name in mine.tasks if name not in TASKS], *rest]
    for one in chosen or list(PEERS):
        run(task(one, mine.calls), molecule_arms(), __doc__)  # type: ignore[arg-type]
