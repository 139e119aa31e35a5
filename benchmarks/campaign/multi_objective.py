"""Two objectives: hypervolume against oracle calls, with samplers conditioned on preferences and without.

    python benchmarks/campaign/multi_objective.py # 5 seeds x 4 arms, about 25 min on a core; resumable

configs/trade_off.yaml: the ionisation potential (GFN2-xTB, eV, lower is better) and QED of molecules built from
fragments; 16 random molecules, then 5 batches of 16. Hypervolume above the config's reference point (9 eV, 0.3), from
all calls, the random first batch included. Arms: noisy expected hypervolume improvement with one sampler for all
preferences; the same with a sampler that is paid for the acquisition; random scalarisations (ParEGO), the sampler being
paid for them; random molecules of the same environment and constraints. Writes multi_objective.csv and .png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_loop import Campaign, load_config, open_run
from al_loop.features.morgan import Morgan
from al_loop.monitoring.metrics import hypervolume, mean_pairwise_distance, non_dominated

HERE = Path(__file__).parents[1]
CONFIG = HERE.parent / "configs" / "trade_off.yaml"
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
    """Hypervolume, size of the front and diversity among it, after every 16 calls."""
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
    parser.add_argument("--out", type=Path, default=HERE / "results")
    arguments = parser.parse_args()
    path = arguments.out / "multi_objective.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["arm", "seed"])
    for seed in range(arguments.seeds):
        for arm in ARMS:
            if not ((done["arm"] == arm) & (done["seed"] == seed)).any():
                new = measure(arm, seed, arguments.runs)
                done = pd.concat([done, new], ignore_index=True)
                done.to_csv(path, index=False)
                print(f"{arm}, seed {seed}: {new['hypervolume'].iloc[-1]:.3f}", flush=True)
    report(done, arguments.out)


def report(table: pd.DataFrame, out: Path) -> None:
    last = table[table["calls"] == table["calls"].max()]
    print(f"\n{'':26s} {'hypervolume':>18s}  {'to the first arm, by seed':>26s}  front  diversity of the front")
    first = last[last["arm"] == next(iter(ARMS))].set_index("seed")["hypervolume"]
    for arm in ARMS:
        rows = last[last["arm"] == arm].set_index("seed")
        gap = rows["hypervolume"] - first
        print(
            f"{arm:26s} {rows['hypervolume'].mean():9.3f} +- {rows['hypervolume'].sem():.3f}  "
            f"{gap.mean():+14.3f} +- {gap.sem():.3f}  {rows['front'].mean():5.1f}  {rows['diversity'].mean():.2f}"
        )
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for arm in ARMS:
        curve = table[table["arm"] == arm].groupby("calls")["hypervolume"]
        mean, error = curve.mean(), curve.sem().fillna(0)
        (line,) = axes.plot(mean.index, mean, marker="o", markersize=3, label=arm)
        axes.fill_between(mean.index, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)
    n_seeds = int(np.max(table["seed"])) + 1
    axes.set(xlabel="oracle calls", ylabel="hypervolume (eV x QED)")
    axes.set_title(f"Ionisation potential and QED, {n_seeds} seeds; bands: standard error", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(out / "multi_objective.png", dpi=150)


if __name__ == "__main__":
    main()
