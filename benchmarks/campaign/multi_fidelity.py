"""Best value at the target fidelity against cost, with and without a cheap fidelity.

    python benchmarks/campaign/multi_fidelity.py      # 5 seeds x 3 arms, about 30 minutes on one core; resumable

The campaign is configs/fidelities.yaml: minimise the ionisation potential (GFN2-xTB, eV) of molecules built from
fragments, at a force-field geometry (cost 1) or an optimised geometry (cost 10, the target). Each arm may spend a cost
of 300, the initial random batch included:

- both fidelities, chosen by expected improvement per cost;
- both fidelities, chosen by information gain per cost;
- the target fidelity alone, with the same model of the objects (surrogate gp, log expected improvement, kriging
  believer).

Writes multi_fidelity.csv and multi_fidelity.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import Campaign, load_config, open_run
from benchmarks.support.plots import plot_mean, save_means
from benchmarks.support.resumable import measure_missing

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "fidelities.yaml"
#: overrides of each arm; the batches of the target alone cost as much as those of both fidelities, the first included
ARMS = {
    "both, improvement per cost": [],
    "both, information per cost": ["acquisition={kind: multi_fidelity_mes}"],
    "target alone": [
        "surrogate={kind: gp}",
        "acquisition={kind: log_ei}",
        "selector={kind: sequential}",
        "rounds={initial: 6, batch_size: 6, count: 6}",
    ],
}
GRID = np.arange(60, 301, 10)


def measure(arm: str, seed: int, runs: Path) -> pd.DataFrame:
    """Run a campaign; return its best value at the target fidelity for each cost in ``GRID``."""
    name = f"{list(ARMS).index(arm)}-{seed}"
    with Campaign(load_config(CONFIG, [f"seed={seed}", f"name=mf-{name}", *ARMS[arm]]), runs / name) as campaign:
        campaign.run()
    with open_run(runs / name) as run:
        table = run.evaluations.join(run.candidates["fidelity"]).sort_values("number")
        column = run.value_column
    spent = table["cost"].cumsum().to_numpy()
    at_target = table[column].where(table["fidelity"] == "optimised").to_numpy()
    best = np.fmin.accumulate(np.where(np.isnan(at_target), np.inf, at_target))
    rows = []
    for cost in GRID:
        affordable = best[spent <= cost + 1e-9]
        rows.append({"arm": arm, "seed": seed, "cost": cost, "best": affordable[-1] if len(affordable) else np.inf})
    frame = pd.DataFrame(rows)
    return frame.assign(
        n_target=int(np.isfinite(at_target).sum()), n_cheap=int((table["fidelity"] == "force_field").sum())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/multi_fidelity"))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    arguments = parser.parse_args()
    table = measure_missing(
        arguments.out / "multi_fidelity.csv",
        arguments.arms,
        arguments.seeds,
        lambda arm, seed: measure(arm, seed, arguments.runs),
        "best",
    )
    report(table, arguments.out)


def report(table: pd.DataFrame, out: Path) -> None:
    print(f"\nbest at target (eV)    {'cost 100':>12s} {'200':>16s} {'300':>16s}   calls: target, cheap")
    arms = [arm for arm in ARMS if arm in set(table["arm"])]
    for arm in arms:
        rows = table[table["arm"] == arm]
        cells = []
        for cost in (100, 200, 300):
            values = rows.loc[rows["cost"] == cost, "best"]
            cells.append(f"{values.mean():7.3f} +- {values.sem():.3f}")
        counts = rows.groupby("seed")[["n_target", "n_cheap"]].first().mean()
        print(f"{arm:28s} {'  '.join(cells)}   {counts['n_target']:.0f}, {counts['n_cheap']:.0f}")
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for arm in arms:
        rows = table[(table["arm"] == arm) & np.isfinite(table["best"])]
        plot_mean(axes, rows, "cost", "best", arm)
    axes.set(
        xlabel="cost of all oracle calls (force field 1, optimised 10)",
        ylabel="best value at the optimised geometry (eV)",
    )
    save_means(figure, axes, f"Ionisation potential, {table['seed'].nunique()} seeds", out / "multi_fidelity.png")


if __name__ == "__main__":
    main()
