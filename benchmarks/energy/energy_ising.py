"""Couplings of Ising models learned from 2,000 configurations, against exact maximum likelihood.

    python benchmarks/energy/energy_ising.py                    # 10 CPU minutes a seed on one core
    python benchmarks/energy/energy_ising.py --models 4x4:0.1 --seeds 1

p(x) is proportional to exp(x'Jx) with J = sigma times the adjacency matrix of a periodic lattice, as in EB-GFN (Zhang
et al. 2022). RMSE(J) is over all pairs of different spins. Levels: on 4 x 4 spins at most 1.1 times that of exact
maximum likelihood on the same configurations (all 65,536 states enumerated); on 10 x 10 spins -log RMSE >= 5 in 10 CPU
minutes, where an l1 penalty makes the couplings sparse (published, with an unknown number of configurations: 6.1; the
couplings with the same penalty and the highest pseudo-likelihood, a convex problem, are printed beside it).
Writes energy_ising.csv.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import energy
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
N_DATA, SWEEPS = 2000, 400
MODELS = ("4x4:0.1", "4x4:0.2", "4x4:-0.1", "4x4:-0.2", "10x10:0.1")
SMALL = {"steps": 2000, "batch_size": 256, "data_batch": 500, "lr": 1e-2}
LARGE = {"steps": 1000, "batch_size": 128, "data_batch": 256, "lr": 2e-3}
SMALL_SAMPLER: dict[str, Any] = {"hidden": 64}
LARGE_SAMPLER: dict[str, Any] = {"hidden": 256, "policy": {"kind": "masked_autoregressive"}}
L1 = 0.03  # of the 10 x 10 lattice, on the couplings of pairs


def lattice(side: int) -> Tensor:
    """Return the adjacency matrix of a periodic square lattice."""
    adjacency = torch.zeros(side * side, side * side, dtype=torch.float64)
    for row in range(side):
        for column in range(side):
            i = row * side + column
            for j in (row * side + (column + 1) % side, (row + 1) % side * side + column):
                adjacency[i, j] = adjacency[j, i] = 1
    return adjacency


def configurations(J: Tensor, n: int, seed: int) -> Tensor:
    """Return spins after Gibbs sweeps of independent chains, n x spins."""
    generator = torch.Generator().manual_seed(seed)
    spins = torch.randint(2, (n, len(J)), generator=generator).double() * 2 - 1
    for _ in range(SWEEPS):
        for i in range(len(J)):
            log_odds = 4 * (spins @ J[i])  # of +1 against -1: each pair counts twice in x'Jx
            spins[:, i] = (torch.rand(n, generator=generator) < log_odds.sigmoid()).double() * 2 - 1
    return spins


def rmse(estimate: Tensor, J: Tensor) -> float:
    """Return the root mean square error over all pairs."""
    pairs = torch.triu_indices(len(J), len(J), 1)
    return float(((estimate - J)[pairs[0], pairs[1]] ** 2).mean().sqrt())


def exact_estimate(spins: Tensor) -> Tensor:
    """Return the maximum-likelihood J of up to 16 spins, with all states enumerated."""
    n = spins.shape[1]
    states = ((torch.arange(2**n)[:, None] >> torch.arange(n)) & 1).double() * 2 - 1
    pairs = torch.triu_indices(n, n, 1)
    features = (states[:, pairs[0]] * states[:, pairs[1]]).float()
    moments = (spins[:, pairs[0]] * spins[:, pairs[1]]).mean(0).float()
    weight = torch.zeros(len(moments), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (features @ weight).logsumexp(0) - moments @ weight
        value.backward()
        return value

    optimizer.step(loss)
    J = torch.zeros(n, n, dtype=torch.float64)
    J[pairs[0], pairs[1]] = weight.detach().double() / 2
    return J + J.t()


def pseudo_likelihood_estimate(spins: Tensor, l1: float) -> Tensor:
    """Return the J of the highest pseudo-likelihood with an l1 penalty on the couplings 2 J, by proximal gradients."""
    n, rate = len(spins), 0.3
    J = torch.zeros(spins.shape[1], spins.shape[1], dtype=spins.dtype)
    for _ in range(300):
        slope = (2 * spins * torch.sigmoid(-2 * spins * (2 * spins @ J))).t() @ spins / n
        moved = 2 * J + rate * ((slope + slope.t()) / 2).fill_diagonal_(0.0)
        J = moved.sign() * (moved.abs() - rate * l1).clamp(min=0) / 2
    return J


def measure(model: str, seed: int) -> pd.DataFrame:
    """Return the row of one lattice."""
    size, _, sigma = model.partition(":")
    side = int(size.partition("x")[0])
    J = float(sigma) * lattice(side)
    spins = configurations(J, N_DATA, seed)
    is_small = side * side <= 16
    began = time.process_time()
    learned = energy.learn(
        {"kind": "assignment", "alphabet": "01", "length": side * side, "order": "left_to_right"},
        spins.numpy().astype(np.int64),
        energy={"kind": "pairwise", "fields": False, "l1": 0.0 if is_small else L1},
        sampler={"layers": 2, "lr": 3e-3, **(SMALL_SAMPLER if is_small else LARGE_SAMPLER)},
        l2=0.0,
        validation=0.0,
        validations=1,
        settle=0.05,
        seed=seed,
        monitor=energy.Monitor(report=print),
        **(SMALL if is_small else LARGE),
    )
    seconds = time.process_time() - began
    ours = rmse(learned.energy.couplings.double() / 2, J)
    exact = rmse(exact_estimate(spins), J) if is_small else math.nan
    row = {"arm": model, "seed": seed, "cpu_s": seconds, "rmse": ours, "rmse_exact": exact, "ratio": ours / exact}
    if not is_small:
        row["minus_log_rmse_of_pseudo_likelihood"] = -math.log(rmse(pseudo_likelihood_estimate(spins, L1), J))
    return pd.DataFrame([{**row, "minus_log_rmse": -math.log(ours)}])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help="SIDExSIDE:SIGMA")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.out / "energy_ising.csv"
    table = measure_missing(path, options.models, options.seeds, measure, "minus_log_rmse", options.first_seed)
    print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
