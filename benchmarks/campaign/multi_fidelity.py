"""Several fidelities: the best value at the target against cost, with and without the cheap fidelity.

    python benchmarks/campaign/multi_fidelity.py # 5 seeds x 3 arms, about 30 min on a core; resumable

configs/fidelities.yaml: the ionisation potential of molecules built from fragments (GFN2-xTB, eV, lower is better), at
a force field's geometry (cost 1) or an optimised one (cost 10, the target). Arms, all within a cost of 300: both
fidelities by expected improvement per cost; both by information per cost; the target alone with the same model of the
objects (surrogate gp, log expected improvement, kriging believer). What counts is the best value at the target, against
the cost of all calls so far, the first random batch included. Writes multi_fidelity.csv and .png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_loop import Campaign, load_config, open_run

HERE = Path(__file__).parents[1]
CONFIG = HERE.parent / "configs" / "fidelities.yaml"
#: of the target alone a batch of the same cost, and a first one too
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
    """The best value at the target fidelity once so much was spent."""
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
        known = best[spent <= cost + 1e-9]
        rows.append({"arm": arm, "seed": seed, "cost": cost, "best": known[-1] if len(known) else np.inf})
    frame = pd.DataFrame(rows)
    return frame.assign(
        n_target=int(np.isfinite(at_target).sum()), n_cheap=int((table["fidelity"] == "force_field").sum())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/multi_fidelity"))
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    arguments = parser.parse_args()
    path = arguments.out / "multi_fidelity.csv"
    done = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["arm", "seed"])
    for seed in range(arguments.seeds):
        for arm in arguments.arms:
            if not ((done["arm"] == arm) & (done["seed"] == seed)).any():
                new = measure(arm, seed, arguments.runs)
                done = pd.concat([done, new], ignore_index=True)
                done.to_csv(path, index=False)
                print(f"{arm}, seed {seed}: {new['best'].iloc[-1]:.3f} eV", flush=True)
    report(done, arguments.out)


def report(table: pd.DataFrame, out: Path) -> None:
    print(f"\nbest at the target (eV) {'cost 100':>12s} {'200':>16s} {'300':>16s}   calls: target, cheap")
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
        curve = rows.groupby("cost")["best"]
        mean, error = curve.mean(), curve.sem().fillna(0)
        (line,) = axes.plot(mean.index, mean, label=arm)
        axes.fill_between(mean.index, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set(
        xlabel="cost of all oracle calls (force field 1, optimised 10)", ylabel="best at the optimised geometry (eV)"
    )
    axes.set_title(f"Ionisation potential, {table['seed'].nunique()} seeds; bands: standard error", fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(out / "multi_fidelity.png", dpi=150)


if __name__ == "__main__":
    main()
