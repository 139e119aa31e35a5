"""A campaign of 96 calls: analogues of ten hits by a language model against fragments, with and without the hits.

    python benchmarks/language/analogue_campaign.py      # 2 seeds, 2 to 10 CPU minutes for each arm and seed

The oracle is that of the quickstart, a low ionisation potential by GFN2-xTB, under its constraints: 16 calls and then 5
rounds of 16.

- analogues: `configs/analogues.yaml`; annalog writes analogues of the hits, tuned in each round.
- fragments: `configs/quickstart.yaml`.
- fragments from the hits: the same with `seeds: hits.smi`. The hits that the blocks can represent are its first calls.

Reported are the best ionisation potential and the mean of the ten best (eV, lower is better), of those ten the mean
Tanimoto distance of pairs, the distinct Murcko scaffolds and the mean similarity to the nearest hit, and the failures.
Writes analogue_campaign.csv, one row for each arm, seed and round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
import yaml

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import Campaign, load_config, open_run
from al_loop.datafiles.object_lists import read_objects
from al_loop.features.morgan import Morgan
from al_loop.monitoring.metrics import mean_pairwise_distance, scaffolds
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
CONFIGS = Path(__file__).parents[2] / "configs"
QUICKSTART, HITS = CONFIGS / "quickstart.yaml", CONFIGS / "hits.smi"
OUTCOME, N_TOP = "ionisation_potential", 10
ARMS = ("analogues", "fragments", "fragments from the hits")


def measure(arm: str, seed: int, runs: Path) -> pd.DataFrame:
    """Run a campaign, and return the figures after each round."""
    changes = {"seed": seed, "constraints": yaml.safe_load(QUICKSTART.read_text())["constraints"]}
    if arm == "fragments from the hits":
        changes["seeds"] = HITS.name
    path = CONFIGS / "analogues.yaml" if arm == "analogues" else QUICKSTART
    config = load_config(path, complete=lambda content: {**content, **changes})
    folder = runs / f"{arm.replace(' ', '_')}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    before = cpu_seconds()
    with Campaign(config, folder) as campaign:
        campaign.run()
    seconds = cpu_seconds() - before
    evaluations = open_run(folder).evaluations
    rows = []
    for number in sorted(evaluations["round"].unique()):
        known = evaluations[evaluations["round"] <= number]
        rows.append({"arm": arm, "seed": seed, "calls": len(known), **figures(known), "cpu_s": round(seconds, 1)})
    return pd.DataFrame(rows)


def figures(evaluations: pd.DataFrame) -> Mapping[str, float]:
    """Return the figures of answers."""
    measured = evaluations.dropna(subset=[OUTCOME]).drop_duplicates("object").sort_values(OUTCOME)
    best = measured.head(N_TOP)
    names, features = list(best["object"]), Morgan()
    X = features(names)
    to_hits = features.similarity(X, features(read_objects(HITS)))
    return {
        "best": float(best[OUTCOME].min()),
        "top10": float(best[OUTCOME].mean()),
        "distance": float(mean_pairwise_distance(features.similarity(X, X).numpy())),
        "scaffolds": len(scaffolds(names)),
        "similarity": float(to_hits.max(1).values.mean()),
        "failures": int(evaluations[OUTCOME].isna().sum()),
    }


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--runs", type=Path, default=Path("runs/analogue_campaign"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "analogue_campaign.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.runs),
        "top10",
    )
    last = table.groupby(["arm", "seed"]).last()
    print(last.groupby("arm").mean().round(3).to_string())


if __name__ == "__main__":
    main()
