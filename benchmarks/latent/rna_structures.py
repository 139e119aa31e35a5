"""Amortised base-pair probabilities of RNA, beside the exact ones of ViennaRNA.

    python benchmarks/latent/rna_structures.py      # 10 CPU minutes on one core

A sampler is trained to fold random words of 16 to 30 letters, and folds 20 others that it never saw: 2,000 draws for
each. Prints the largest error of a base-pair probability (level: 0.05), also with importance weights, and that of as
many exact draws, and KL(q || exact). Writes rna_structures.csv; samplers and checkpoints are in runs/rna_structures,
from which the command resumes.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, Posterior, RNAStructures, fit, load, save
from al_loop.latent.em import Round
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
RUNS = Path("runs/rna_structures")
N_TEST, N_DRAWS = 20, 2000
SETTINGS = EM(
    rounds=4,
    e_steps=100,
    final_steps=300,
    batch_size=48,
    hidden=64,
    layers=1,
    lr=3e-3,
    moves=0,
    m_batch=1,
    report_every=2,
)


def words(n: int, generator: torch.Generator) -> list[str]:
    """Return random words of 16 to 30 letters."""
    lengths = torch.randint(16, 31, (n,), generator=generator).tolist()
    return ["".join("ACGU"[i] for i in torch.randint(4, (k,), generator=generator).tolist()) for k in lengths]


def train(arm: str, seed: int) -> Posterior:
    """Return the sampler of an arm, trained if its file is not there yet."""
    path = RUNS / f"{arm.replace(' ', '_')}-{seed}.pt"
    if path.exists():
        return load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    x = words(2000, torch.Generator().manual_seed(seed))
    em = replace(SETTINGS, sleep={"balance and sleep": 1.0, "balance alone": 0.0}[arm])
    result = fit(
        RNAStructures(30, sampler="folding"),
        x,
        em,
        seed=seed,
        checkpoint=path.with_suffix(".checkpoint"),
        on_round=show,
    )
    save(path, result.posterior)
    return result.posterior


def show(done: Round) -> None:
    """Print how far a fit is."""
    if done.report is not None:
        print(f"  {done.number}: KL at most {done.report.kl:.3f}", flush=True)


def measure(arm: str, seed: int) -> pd.DataFrame:
    """Train with one kind of loss, and return a row for each test word."""
    began = time.process_time()
    posterior = train(arm, seed)
    seconds, model = time.process_time() - began, posterior.model
    assert isinstance(model, RNAStructures)
    rows = []
    for word in words(N_TEST, torch.Generator().manual_seed(10_000)):
        x = model.read([word])
        exact = model.pair_probabilities(x)[0]
        row = {"arm": arm, "seed": seed, "word": word}
        z, weight = posterior.weighted(x, N_DRAWS, seed=1)
        pairs = model.pairs(z[0])
        row["error"] = float((pairs.mean(0) - exact).abs().max())
        row["error_weighted"] = float((torch.einsum("n,nij->ij", weight[0], pairs) - exact).abs().max())
        sampled = model.exact_draws(x, N_DRAWS, 1)[0]
        row["error_of_exact_draws"] = float((model.pairs(sampled).mean(0) - exact).abs().max())
        report = posterior.report(x, 500)
        rows.append({**row, "kl_at_most": report.kl, "effective": report.effective, "cpu_s": seconds})
        print(f"  {word}: error {row['error']:.3f}, weighted {row['error_weighted']:.3f}", flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", nargs="+", default=["balance and sleep", "balance alone"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(
        options.out / "rna_structures.csv",
        options.arms,
        options.seeds,
        measure,
        "error",
    )
    columns = ["error", "error_weighted", "error_of_exact_draws", "kl_at_most", "effective", "cpu_s"]
    for statistic in ("mean", "max"):
        print(f"{statistic} over {N_TEST} words (level: largest error of all 0.05)")
        print(table.groupby("arm", sort=False)[columns].agg(statistic).round(3).to_string())


if __name__ == "__main__":
    main()
