"""The quickstart campaign against the same number of oracle calls on random molecules.

    python benchmarks/campaign/quickstart_vs_random.py      # 3 seeds, about 20 minutes on 2 cores; resumable

The random molecules come from the same environment, under the same constraints. Both arms are campaigns: the random one
spends all its calls in its initial random batch. Prints the table, writes quickstart_vs_random.csv and .png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_loop import Campaign, load_config, open_run
from al_loop.campaign.reporter import Reporter
from al_loop.monitoring.metrics import top_k_mean
from al_loop.monitoring.round_summary import RoundSummary

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "quickstart.yaml"


class RoundPrinter(Reporter):
    """Prints one line per round."""

    def round(self, summary: RoundSummary) -> None:
        seconds = sum(summary.seconds.values())
        print(f"  round {summary.number}: top-10 mean {summary.top10_mean:.3f}, {seconds:.0f} s", flush=True)


def measure(arm: str, seed: int, runs: Path) -> tuple[pd.DataFrame, float]:
    """Run one arm; return its evaluations, and the mean Tanimoto distance among its ten best molecules."""
    rounds = load_config(CONFIG).rounds
    overrides = [f"seed={seed}", f"name=quickstart-{arm}-{seed}"]
    if arm == "random":
        overrides += ["rounds.count=0", f"rounds.initial={rounds.initial + rounds.count * rounds.batch_size}"]
    run = runs / f"{arm}-{seed}"
    print(f"{arm}, seed {seed}", flush=True)
    with Campaign(load_config(CONFIG, overrides), run, reporter=RoundPrinter()) as campaign:
        campaign.run()
    result = open_run(run)
    return result.evaluations, diversity(list(result.best(10)["object"]))


def diversity(smiles: list[str]) -> float:
    from al_loop.features.morgan import Morgan
    from al_loop.monitoring.metrics import mean_pairwise_distance

    features = Morgan()
    X = features(smiles)
    return mean_pairwise_distance(features.similarity(X, X).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/quickstart_vs_random"))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    rows, curves = [], {}
    for arm in ("random", "al-loop"):
        for seed in range(arguments.seeds):
            evaluations, distance = measure(arm, seed, arguments.runs)
            values = evaluations["ionisation_potential"].to_numpy(dtype=float)
            curve = [top_k_mean(values[: n + 1], 10, "minimise") for n in range(len(values))]
            curves.setdefault(arm, []).append(curve)
            rows.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "calls": len(values),
                    "failures": int(np.isnan(values).sum()),
                    "best_eV": np.nanmin(values),
                    "top10_mean_eV": curve[-1],
                    "top10_distance": distance,
                }
            )
    table = pd.DataFrame(rows)
    table.to_csv(arguments.out / "quickstart_vs_random.csv", index=False, float_format="%.4f")
    print(table.round(3).to_string(index=False))
    plot(curves, arguments.out / "quickstart_vs_random.png")


def plot(curves: dict[str, list[list[float]]], path: Path) -> None:
    rounds = load_config(CONFIG).rounds
    figure = Figure(figsize=(7.2, 4.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    for arm, colour in (("random", "#8c8c8c"), ("al-loop", "#1f6f8b")):
        runs = np.array(curves[arm])[:, 9:]
        x = np.arange(10, 10 + runs.shape[1])
        for run in runs:
            axes.plot(x, run, color=colour, alpha=0.35, linewidth=1)
        axes.plot(x, runs.mean(0), color=colour, linewidth=2.4)
        axes.annotate(
            arm, (x[-1], runs.mean(0)[-1]), xytext=(6, 0), textcoords="offset points", color=colour, va="center"
        )
    for k in range(rounds.count + 1):
        axes.axvline(rounds.initial + k * rounds.batch_size, color="#e3e3e3", linewidth=0.8, zorder=0)
    axes.set_xlabel("oracle calls (vertical lines: rounds)")
    axes.set_ylabel("mean ionisation potential of the ten best molecules (eV)")
    axes.set_title(f"Lower is better; thin lines: {len(curves['random'])} seeds, thick line: their mean", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    figure.savefig(path)


if __name__ == "__main__":
    main()
