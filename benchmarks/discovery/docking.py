"""Docking to soluble epoxide hydrolase over several rounds at equal calls, as in the first GFlowNet paper, but small.

    python benchmarks/discovery/docking.py          # 50 + 5 x 25 calls for each arm and seed, up to 10 min on one core

The oracle is AutoDock Vina (PDB 4JNC, the receptor of Bengio et al. 2021) at exhaustiveness 1; a molecule that fails
has no score. All arms begin with the same 50 random molecules of ZINC250k, which count, and keep to the bounds of
`configs/docking_seh.yaml`. Reported are the means of the 10 and 100 best scores, as positive numbers, and the mean
Tanimoto distance of the 100 best. Their own figures (8.83 and 7.76, MARS 8.27 and 7.08, after 2,000 + n x 200 calls)
are on another scale.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.campaign.preparation import prepare
from al_loop.config.load import parse_config
from al_loop.oracles.base import evaluate_all
from benchmarks.support.discovery import Measured, Task, best_values, run
from benchmarks.support.molecules import LOOP, diversity, kept, molecule_arms, random_zinc

N_START, BATCH, COUNT = 50, 25, 5
CONTENT: Mapping[str, object] = {
    **LOOP,
    "oracle": {"kind": "docking", "receptor": "seh_4jnc", "exhaustiveness": 1, "seed": 1, "keep_pose": False},
    "constraints": [
        {"kind": "qed", "min": 0.4},
        {"kind": "mol_weight", "max": 500},
        {"kind": "alerts", "catalog": "PAINS", "max": 0},
    ],
    "rounds": {"initial": 0, "batch_size": BATCH, "count": COUNT},
    "evaluation": {"workers": 1, "timeout_s": 1800, "stop_after_failures": None},
}


def _docked(seed: int) -> list[tuple[str, float]]:
    parts = prepare(parse_config({"name": "docking", **CONTENT, "rounds": {"initial": 1}}))
    names = random_zinc(N_START, seed, set(), parts.constraints.acceptable)
    outcomes = evaluate_all(parts.oracle, names)
    return [(name, -o.values[0] if o.values else float("nan")) for name, o in zip(names, outcomes, strict=True)]


@cache
def start(seed: int) -> Sequence[tuple[str, float]]:
    """Return the first molecules and their scores, larger for better ones; docked once and kept below ``runs/``."""
    first: list[tuple[str, float]] = kept(f"docked_{seed}.pickle", lambda: _docked(seed))
    return first


def figures(measured: Sequence[Measured]) -> Mapping[str, float]:
    """Return the means of the 10 and 100 best scores, and the mean distance of the 100 best."""
    names, values = best_values(measured, 100)
    return {"top10": float(values[:10].mean()), "top100": float(values.mean()), "distance": diversity(names)}


TASK = Task(
    name="docking_seh",
    title=f"docking to sEH, {N_START} + {COUNT} x {BATCH} calls",
    content=CONTENT,
    data=start,
    counts_data=True,
    figures=figures,
    column="top10",
)


if __name__ == "__main__":
    run(TASK, molecule_arms(), __doc__)
