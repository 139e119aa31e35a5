"""Amortised base-pair probabilities of RNA, beside the exact ones of ViennaRNA.

    python benchmarks/latent/rna_structures.py      # 10 CPU minutes on one core

A sampler is trained to fold random words of 16 to 30 letters, and folds 20 others that it never saw: 2,000 draws for
each. Prints the largest error of a base-pair probability (level: 0.05), with and without Metropolis-Hastings moves
afterwards, and the upper bound of KL(q || exact). Writes rna_structures.csv.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, RNAStructures, fit
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
N_TEST, N_DRAWS = 20, 2000
SETTINGS = {"batch_size": 48, "hidden": 64, "layers": 1, "lr": 2e-3, "moves": 0, "m_batch": 1, "report_every": 1000}


def words(n: int, generator: torch.Generator) -> list[str]:
    """Return random words of 16 to 30 letters."""
    lengths = torch.randint(16, 31, (n,), generator=generator).tolist()
    return ["".join("ACGU"[i] for i in torch.randint(4, (k,), generator=generator).tolist()) for k in lengths]


def measure(arm: str, seed: int, rounds: int) -> pd.DataFrame:
    """Train with one kind of loss, and return a row for each test word."""
    generator = torch.Generator().manual_seed(seed)
    train, test = words(2000, generator), words(N_TEST, torch.Generator().manual_seed(10_000))
    sleep = {"balance and sleep": 1.0, "balance alone": 0.0}[arm]
    began = time.process_time()
    result = fit(RNAStructures(30), train, EM(rounds=rounds, e_steps=100, sleep=sleep, **SETTINGS), seed=seed)
    seconds = time.process_time() - began
    model = result.model
    assert isinstance(model, RNAStructures)
    rows = []
    for word in test:
        x = model.read([word])
        exact = model.pair_probabilities(x)[0]
        row = {"arm": arm, "seed": seed, "word": word}
        for name, moves in (("error", 0), ("error_after_10_moves", 10)):
            z = result.posterior.draw(x, N_DRAWS, seed=1, moves=moves)[0]
            row[name] = float((model.pairs(z).mean(0) - exact).abs().max())
        sampled = model.exact_draws(x, N_DRAWS, 1)[0]
        row["error_of_exact_draws"] = float((model.pairs(sampled).mean(0) - exact).abs().max())
        report = result.posterior.report(x, 500)
        rows.append({**row, "kl_at_most": report.kl, "effective": report.effective, "cpu_s": seconds})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=25, help="100 training steps each")
    parser.add_argument("--arms", nargs="+", default=["balance and sleep", "balance alone"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "rna_structures.csv",
        options.arms,
        options.seeds,
        lambda arm, seed: measure(arm, seed, options.rounds),
        "error",
    )
    columns = ["error", "error_after_10_moves", "error_of_exact_draws", "kl_at_most", "effective", "cpu_s"]
    for statistic in ("mean", "max"):
        print(f"{statistic} over {N_TEST} words (level: largest error of all 0.05)")
        print(table.groupby("arm", sort=False)[columns].agg(statistic).round(3).to_string())


if __name__ == "__main__":
    main()
