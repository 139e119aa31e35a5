"""GFlowNet-EM and Baum-Welch on sequences of a hidden Markov model, from the same initialisation.

    python benchmarks/latent/hidden_markov.py      # 6 CPU minutes on one core

500 sequences of 20 symbols, 8 letters, 5 states, 3 seeds of truth, data and initialisation; both make 60 rounds. Prints
the gap of the log-likelihood to Baum-Welch's (level: at most 0.01 nats per symbol), on training sequences and on 500
others, and the upper bound of KL(q || exact posterior) per sequence. Writes hidden_markov_em.csv.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from pathlib import Path

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.latent import EM, HMM, fit
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
ARMS = ("Baum-Welch", "GFlowNet-EM")
N_SEQUENCES, LENGTH, N_ROUNDS = 500, 20, 60
SETTINGS = EM(
    rounds=N_ROUNDS,
    e_steps=20,
    warmup=300,
    batch_size=64,
    hidden=64,
    layers=1,
    moves=0,
    draws=4,
    weighted=True,
    report_every=N_ROUNDS,
)


def measure(arm: str, seed: int) -> pd.DataFrame:
    """Fit from one initialisation by one method, and return one row."""
    generator = torch.Generator().manual_seed(seed)
    truth = HMM("ACDEFGHI", LENGTH, 5)
    truth.randomise(generator, 0.5)
    x, _ = truth.sample(N_SEQUENCES, generator)
    test, _ = truth.sample(N_SEQUENCES, generator)
    model = copy.deepcopy(truth)
    model.initialise(x, generator)
    began, kl, ess = time.process_time(), float("nan"), float("nan")
    if arm == "Baum-Welch":
        for _ in range(N_ROUNDS):
            model.exact_step(x)
    else:
        report = fit(model, x, SETTINGS, seed=seed, initialise=False).rounds[-1].report
        assert report is not None
        kl, ess = report.kl, report.effective
    seconds = time.process_time() - began
    means = {
        f"{name}_{part}": float(m.log_likelihood(rows).mean()) / LENGTH
        for name, m in (("model", model), ("truth", truth))
        for part, rows in (("train", x), ("test", test))
    }
    return pd.DataFrame([{"arm": arm, "seed": seed, **means, "kl": kl, "effective": ess, "cpu_s": seconds}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_missing(options.out / "hidden_markov_em.csv", ARMS, options.seeds, measure, "model_train")
    print(table.round(4).to_string(index=False))
    peers = [table[table["arm"] == arm].set_index("seed") for arm in ARMS]
    for part in ("train", "test"):
        gap = peers[0][f"model_{part}"] - peers[1][f"model_{part}"]
        print(f"{part}: {gap.mean():+.4f} nats per symbol behind Baum-Welch, {gap.max():+.4f} at most (level: 0.01)")


if __name__ == "__main__":
    main()
