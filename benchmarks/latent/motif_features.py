"""Posterior features of a motif model in a campaign on TFBind8, beside the usual features of sequences.

    python benchmarks/latent/motif_features.py --proxy     # 1 CPU minute: accuracy of the surrogate alone
    python benchmarks/latent/motif_features.py             # 15 CPU minutes for two seeds on one core: campaigns

All 65,536 DNA words of 8 letters were measured, so the task is real and free. 64 random words, then 5 rounds of 32, the
samplers trained for 40 steps a round. The motif model (2 motifs of 4 letters) is fitted to 200 random words without
their values, and refitted in each round to the better half of the measured words. Prints the mean value of the best 32
words found. With --proxy, Gaussian processes are fitted to 96 random words, and Spearman's rank correlation of their
predictions for 1,000 others is compared, for 5 seeds. Writes motif_features.csv and motif_features_proxy.csv.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import open_run
from al_loop.campaign import Campaign
from al_loop.campaign.building import build_environment, build_features, build_surrogate
from al_loop.config import load_config
from al_loop.latent import EM, Motifs, fit, save
from al_loop.monitoring.metrics import rank_correlation
from al_loop.surrogates.base import as_surrogate_model
from benchmarks.support.resumable import measure_missing

BENCHMARKS = Path(__file__).parents[1]
CONFIG = BENCHMARKS.parent / "configs" / "tfbind8.yaml"
ROUNDS = "rounds={initial: 64, batch_size: 32, count: 5}"
SAMPLER = "sampler={steps: 40, batch_size: 64, pool: 512}"


def arms(file: Path) -> dict[str, list[str]]:
    """Return the overrides of each arm, given the file of the motif model."""
    latent = f"{{kind: latent, file: {file}, rounds: 10, share: 0.5}}"
    fixed = f"{{kind: latent, file: {file}, rounds: 0}}"
    return {
        "one-hot": [],
        "k-mers": ["features={kind: kmers, k: 4}"],
        "motifs": [f"features={latent}"],
        "one-hot + motifs": [f"features={{kind: joined, parts: [{{kind: one_hot}}, {latent}]}}"],
        "one-hot + motifs, not refitted": [f"features={{kind: joined, parts: [{{kind: one_hot}}, {fixed}]}}"],
    }


def motif_file(runs: Path) -> Path:
    """Return the file of the motif model, fitted to random words if it is not there yet."""
    path = runs.absolute() / "motifs.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        letters = np.random.default_rng(0).choice(list("ACGT"), (200, 8))
        result = fit(Motifs("ACGT", 8, 2, 4), ["".join(row) for row in letters], EM(rounds=3, e_steps=20), seed=0)
        save(path, result.posterior)
    return path


def measure(arm: str, seed: int, runs: Path) -> pd.DataFrame:
    """Run a campaign, and return one row for each round."""
    overrides = [f"seed={seed}", f"name=motifs-{seed}", ROUNDS, SAMPLER, *arms(motif_file(runs))[arm]]
    run = runs / f"{arm.replace(', ', '-').replace(' ', '_')}-{seed}"
    began = time.process_time()
    with Campaign(load_config(CONFIG, overrides), run) as campaign:
        campaign.run()
    seconds = time.process_time() - began
    with open_run(run) as opened:
        table, column = opened.evaluations.sort_index(), opened.value_column
    ends = table.groupby("round").size().cumsum()
    rows = []
    for number, calls in ends.items():
        best = table[column].iloc[:calls].nlargest(32).mean()
        rows.append({"arm": arm, "seed": seed, "round": number, "calls": calls, "best_32": best})
    return pd.DataFrame(rows).assign(cpu_s=seconds)


def accuracy(arm: str, seed: int, runs: Path) -> pd.DataFrame:
    """Return the rank correlation of a Gaussian process's predictions, in one row."""
    rng = np.random.default_rng(seed)
    with gzip.open(BENCHMARKS / "data" / "tfbind8_six6.npy.gz") as file:
        values = np.load(io.BytesIO(file.read())) / 65535
    rows = rng.choice(len(values), 1096, replace=False)
    words = ["".join("ACGT"[i // 4**k % 4] for k in range(7, -1, -1)) for i in rows]
    config = load_config(CONFIG, arms(motif_file(runs))[arm])
    features = build_features(config, build_environment(config))
    began = time.process_time()
    features.refit(words[:96], values[rows[:96]].tolist(), seed)
    surrogate = build_surrogate(config, features)
    target = torch.tensor(values[rows[:96]])[:, None]
    target = (target - target.mean()) / target.std()
    model = as_surrogate_model(surrogate.fit(features(words[:96]), target, None))
    with torch.no_grad():
        mean, _ = model.mean_and_variance(features(words[96:]))
    correlation = rank_correlation(mean.numpy(), values[rows[96:]])
    return pd.DataFrame(
        [{"arm": arm, "seed": seed, "rank_correlation": correlation, "cpu_s": time.process_time() - began}]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", action="store_true", help="compare surrogates, without campaigns")
    parser.add_argument("--seeds", type=int, help="default: 5 with --proxy, otherwise 2")
    parser.add_argument("--arms", nargs="+", default=list(arms(Path())), choices=list(arms(Path())))
    parser.add_argument("--runs", type=Path, default=Path("runs/motif_features"))
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    column = "rank_correlation" if options.proxy else "best_32"
    table = measure_missing(
        options.out / f"motif_features{'_proxy' if options.proxy else ''}.csv",
        options.arms,
        options.seeds or (5 if options.proxy else 2),
        lambda arm, seed: (accuracy if options.proxy else measure)(arm, seed, options.runs),
        column,
    )
    if options.proxy:
        print(table.groupby("arm", sort=False)[column].agg(["mean", "sem", "count"]).round(3).to_string())
        return
    last = table[table["round"] == table["round"].max()].groupby("arm", sort=False)
    print(last["best_32"].agg(["mean", "sem", "count"]).round(4).to_string())


if __name__ == "__main__":
    main()
