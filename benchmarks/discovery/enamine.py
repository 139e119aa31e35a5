"""Enamine10k: share of the best 1 % of a library found with 6 % of the calls, by MolPAL's protocol.

    python benchmarks/discovery/enamine.py

10,446 molecules with published docking scores (Graff et al. 2021): 1 % at random, then 5 batches of 1 %. `share` is the
fraction found of the 104 best; of equal scores the first in the file counts, as in `benchmarks/campaign/pool.py`, which
compares acquisitions on the same task. Distance: mean Tanimoto distance of the 104 best molecules measured.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.campaign.building import build_environment, build_oracle
from al_loop.oracles.base import evaluate_all
from benchmarks.support.discovery import Measured, Task, best_values, run
from benchmarks.support.discovery_arms import arms

N_TOP = 104
PEERS = {"MolPAL, forest (published)": 0.52, "MolPAL, network (published)": 0.67}


@cache
def top() -> frozenset[str]:
    """Return the 104 best molecules."""
    config = TASK.config(0)
    objects = build_environment(config).objects or ()
    scores = [o.values[0] if o.values else np.inf for o in evaluate_all(build_oracle(config), objects)]
    return frozenset(objects[i] for i in np.argsort(scores, kind="stable")[:N_TOP])


def figures(measured: Sequence[Measured]) -> Mapping[str, float]:
    """Return the share found of the best, the mean of the ten best, and the diversity of the 104 best."""
    from al_loop.features.morgan import Morgan
    from al_loop.monitoring.metrics import mean_pairwise_distance

    names, values = best_values(measured, N_TOP)
    features = Morgan()
    X = features(names)
    return {
        "share": len(top() & {m.object for m in measured}) / N_TOP,
        "top10": float(-values[:10].mean()),
        "distance": float(mean_pairwise_distance(features.similarity(X, X).numpy())),
    }


TASK = Task(
    name="enamine",
    title="Enamine10k, 1 % random and 5 x 1 %",
    content={
        "environment": {"kind": "pool", "file": "enamine10k"},
        "oracle": {"kind": "table", "file": "enamine10k"},
        "rounds": {"initial": 104, "batch_size": 104, "count": 5},
        "evaluation": {"workers": 1},
    },
    figures=figures,
    column="share",
    level=0.83,
    peers=PEERS,
)


if __name__ == "__main__":
    run(TASK, arms(has_sampler=False), __doc__)
