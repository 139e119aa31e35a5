"""Hypervolume of two objectives against oracle calls, with and without preference-conditioned samplers.

    python benchmarks/campaign/multi_objective.py      # 5 seeds x 4 arms, about 25 minutes on one core; resumable

The campaign is configs/trade_off.yaml: the ionisation potential (GFN2-xTB, eV, lower is better) and the QED of
molecules built from fragments; 16 random molecules, then 5 batches of 16. The hypervolume is measured from the config's
reference point (9 eV, 0.3) and counts all calls, the initial random batch included. Arms:

- noisy expected hypervolume improvement, with one sampler conditioned on preferences;
- noisy expected hypervolume improvement, with the acquisition as the sampler's reward;
- random scalarisations (ParEGO), with the scalarised acquisition as the sampler's reward;
- random molecules from the same environment, under the same constraints.

Writes multi_objective.csv and multi_objective.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import Campaign, load_config, open_run
from al_loop.features.morgan import Morgan
from al_loop.monitoring.metrics import hypervolume, mean_pairwise_distance, non_dominated
from benchmarks.support.plots import plot_mean, save_means
from benchmarks.support.resumable import measure_missing

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "trade_off.yaml"
ARMS = {
    "qLogNEHVI, conditioned": [],
    "qLogNEHVI, unconditioned": ["reward.preferences=false"],
    "scalarised (ParEGO)": [
        "acquisition={kind: parego}",
        "selector={kind: sequential, lazy: false}",
        "reward.preferences=false",
    ],
    "random": ["rounds={initial: 96, batch_size: 16, count: 0}"],
}
STEP = 16


def measure(arm: str, seed: int, runs: Path) -> pd.DataFrame:
    """Run a campaign; return hypervolume, size and diversity of the Pareto front after every 16 calls."""
    name = f"{list(ARMS).index(arm)}-{seed}"
    with Campaign(load_config(CONFIG, [f"seed={seed}", f"name=mo-{name}", *ARMS[arm]]), runs / name) as campaign:
        campaign.run()
    with open_run(runs / name) as run:
        table, columns = run.evaluations.sort_index(), run.optimised
        point = run.config["reference_point"]
    goals, names = [o.goal for o in columns.values()], list(columns)
    rows = []
    for calls in range(STEP, len(table) + 1, STEP):
        part = table.iloc[:calls].dropna(subset=names)
        values = part[names].to_numpy()
        front = part[non_dominated(values, goals)]
        features = Morgan()
        X = features(list(front["object"]))
        rows.append(
            {
                "arm": arm,
                "seed": seed,
                "calls": calls,
                "hypervolume": hypervolume(values, goals, [point[column] for column in names]),
                "front": len(front),
                "diversity": mean_pairwise_distance(features.similarity(X, X).numpy()),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/multi_objective"))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    arguments = parser.parse_args()
    table = measure_missing(
        arguments.out / "multi_objective.csv",
        arguments.arms,
        arguments.seeds,
        lambda arm, seed: measure(arm, seed, arguments.runs),
        "hypervolume",
    )
    report(table, arguments.out)


def report(table: pd.DataFrame, out: Path) -> None:
    last = table[table["calls"] == table["calls"].max()]
    arms = [arm for arm in ARMS if arm in set(table["arm"])]
    print(f"\n{'':26s} {'hypervolume':>18s}  {'minus the first arm':>24s}  front  diversity of the front")
    first = last[last["arm"] == arms[0]].set_index("seed")["hypervolume"]
    for arm in arms:
        rows = last[last["arm"] == arm].set_index("seed")
        gap = rows["hypervolume"] - first
        print(
            f"{arm:26s} {rows['hypervolume'].mean():9.3f} +- {rows['hypervolume'].sem():.3f}  "
            f"{gap.mean():+14.3f} +- {gap.sem():.3f}  {rows['front'].mean():5.1f}  {rows['diversity'].mean():.2f}"
        )
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for arm in arms:
        plot_mean(axes, table[table["arm"] == arm], "calls", "hypervolume", arm, marker="o", markersize=3)
    axes.set(xlabel="oracle calls", ylabel="hypervolume (eV x QED)")
    title = f"Ionisation potential and QED, {table['seed'].nunique()} seeds"
    save_means(figure, axes, title, out / "multi_objective.png")


if __name__ == "__main__":
    main()
