"""Energies and samplers of seven two-dimensional densities as words of 16 bits, against exact numbers.

    python benchmarks/energy/energy_2d.py                       # an hour of CPU time a seed
    python benchmarks/energy/energy_2d.py --densities moons --seeds 1
    python benchmarks/energy/energy_2d.py --write moons words.npy    # data for `al-loop learn-energy`

The protocol is that of EB-GFN (Zhang et al. 2022) with 16 instead of 32 bits, so that all 65,536 words are enumerated.
Each method learns from the same million words. The negative log-likelihoods are cross-entropies with the histogram of
two million other words, whose entropy is the lower limit. Levels, in at most 3 CPU minutes: energy and sampler within
0.05 nats of the entropy, L1(energy, sampler) <= 0.15, learned log Z off by <= 0.05. Peers in the same run: the same
energy by persistent contrastive divergence with Gibbs steps (`pcd`), and the same policy by maximum likelihood, as
`al-loop pretrain` does (`pretrain`). `eb_gfn` begins with a base: 3,000 steps of maximum likelihood, then 1,000 of
both; `no_base` has 4,500 steps of both. The settings were chosen on 2spirals and 8gaussians with seed 0.
`cpu_s_to_0.1` is the CPU time to a gap of 0.1 nats, as far as it was looked at: without a base ten times, with a base
from its end on. Writes energy_2d.csv and energy_2d.png.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))

from al_loop import energy
from al_loop.energy.energies.base import Energy
from al_loop.energy.energies.mlp import MLPEnergy
from al_loop.environments.assignment import Assignments
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.pretraining import EncodedObjects, PretrainingSettings, pretrain
from benchmarks.support.densities import GENERATORS, entropy, histogram, sample
from benchmarks.support.resumable import measure_missing

RESULTS = Path(__file__).parents[1] / "results"
N_BITS, N_TRAIN, N_TEST = 16, 1_000_000, 2_000_000
ENVIRONMENT = {"kind": "assignment", "alphabet": "01", "length": N_BITS, "order": "left_to_right"}
BASE_STEPS, STEPS, STEPS_WITHOUT_BASE = 3000, 1000, 4500
PCD_STEPS, PCD_CHAINS, PCD_SWEEPS = 6000, 512, 1
PRETRAINING = PretrainingSettings(steps=4000, batch_size=256, lr=2e-3, validation=0.0)


def words_of(seed: int) -> tuple[int, int]:
    """Return the seeds of the training and of the test words."""
    return 2 * seed, 2 * seed + 1


class Truth:
    """The histogram of a density over all words, in the order of the exact distributions.

    Args:
        density: its name.
        seed: seed of the run.
    """

    def __init__(self, density: str, seed: int) -> None:
        share = histogram(sample(density, N_TEST, N_BITS, words_of(seed)[1]))
        self.environment = Assignments("01", N_BITS, order="left_to_right")
        self.states, _ = terminal_distribution(self.environment, None)
        index = self.states @ (1 << torch.arange(N_BITS - 1, -1, -1))
        self.p = torch.from_numpy(share)[index]
        self.entropy = entropy(share)

    def of_energy(self, model: Energy) -> tuple[Tensor, float]:
        """Return log p of all words, and log Z."""
        with torch.no_grad():
            scores = torch.cat([model(part) for part in self.states.split(8192)]).double()
        log_z = scores.logsumexp(0)
        return scores - log_z, float(log_z)

    def of_sampler(self, policy: Policy) -> Tensor:
        """Return log p of all words."""
        return terminal_distribution(self.environment, policy)[1].log()

    def gap(self, log_p: Tensor) -> float:
        """Return the cross-entropy of the density and a model, minus the entropy."""
        is_seen = self.p > 0
        return -float((self.p * log_p)[is_seen].sum()) - self.entropy


def eb_gfn(density: str, truth: Truth, seed: int, has_base: bool = True) -> dict[str, Any]:
    """Learn an energy and a sampler.

    Args:
        density: the density.
        truth: its words and their probabilities.
        seed: seed of the run.
        has_base: whether both begin with a policy of maximum likelihood.
    """
    data = sample(density, N_TRAIN, N_BITS, words_of(seed)[0])
    began, reached = time.process_time(), np.nan
    nlls: list[tuple[float, float]] = []
    monitor = energy.Monitor(
        log=lambda step, numbers: nlls.append((time.process_time() - began, numbers["energy/sampler_nll"]))
    )
    model = energy.learn(
        ENVIRONMENT,
        data,
        energy={"kind": "mlp", "hidden": 128, "layers": 2},
        sampler={"hidden": 128, "layers": 2, "lr": 0.003},
        base_steps=BASE_STEPS if has_base else 0,
        steps=STEPS if has_base else STEPS_WITHOUT_BASE,
        batch_size=256,
        data_batch=256,
        lr=0.01,
        settle=0.25,
        validation=0.002,
        seed=seed,
        monitor=monitor,
    )
    seconds = time.process_time() - began
    held_out_entropy = nlls[-1][1] - truth.gap(truth.of_sampler(model.policy))  # of the few held-out words
    reached = next((t for t, nll in nlls if nll - held_out_entropy < 0.1), np.nan)
    log_p, log_z = truth.of_energy(model.energy)
    log_q = truth.of_sampler(model.policy)
    return {
        "cpu_s": seconds,
        "energy_gap": truth.gap(log_p),
        "sampler_gap": truth.gap(log_q),
        "l1": float((log_p.exp() - log_q.exp()).abs().sum()),
        "log_z": log_z,
        "log_z_off": model.report.learned_log_z - log_z,
        "cpu_s_to_0.1": reached,
    }


def gibbs_sweep(model: Energy, chains: Tensor, generator: torch.Generator) -> Tensor:
    """Return chains after a sweep of Gibbs steps over all places in random order."""
    for place in torch.randperm(chains.shape[1], generator=generator).tolist():
        flipped = chains.clone()
        flipped[:, place] = 1 - flipped[:, place]
        log_odds = model(flipped) - model(chains)
        is_flipped = torch.rand(len(chains), generator=generator) < log_odds.sigmoid()
        chains = torch.where(is_flipped[:, None], flipped, chains)
    return chains


def pcd(density: str, truth: Truth, seed: int) -> dict[str, Any]:
    """Learn the same energy by persistent contrastive divergence with Gibbs steps."""
    data = torch.as_tensor(sample(density, N_TRAIN, N_BITS, words_of(seed)[0]))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = MLPEnergy(truth.environment, hidden=128, layers=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, PCD_STEPS)
    chains = torch.randint(2, (PCD_CHAINS, N_BITS), generator=generator)
    began, measured, reached = time.process_time(), 0.0, np.nan
    for step in range(PCD_STEPS):
        with torch.no_grad():
            chains = gibbs_sweep(model, chains, generator)
        batch = data[torch.randint(len(data), (128,), generator=generator)]
        of_data, of_chains = model(batch), model(chains)
        loss = of_chains.mean() - of_data.mean() + 1e-4 * (of_data**2).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if (step + 1) % (PCD_STEPS // 10) == 0 and np.isnan(reached):
            paused = time.process_time()
            if truth.gap(truth.of_energy(model)[0]) < 0.1:
                reached = paused - began - measured
            measured += time.process_time() - paused
        if time.process_time() - began - measured > 180:
            break
    seconds = time.process_time() - began - measured
    log_p, log_z = truth.of_energy(model)
    return {"cpu_s": seconds, "energy_gap": truth.gap(log_p), "log_z": log_z, "cpu_s_to_0.1": reached}


def likelihood(density: str, truth: Truth, seed: int) -> dict[str, Any]:
    """Train the same policy by maximum likelihood, as ``al-loop pretrain`` does."""
    data = torch.as_tensor(sample(density, N_TRAIN, N_BITS, words_of(seed)[0]))
    torch.manual_seed(seed)
    policy = MLPPolicy(truth.environment, 128, 2)
    began, measured, reached = time.process_time(), 0.0, np.nan

    def on_step(step: int, loss: float) -> None:
        nonlocal measured, reached
        if (step + 1) % (PRETRAINING.steps // 20) == 0 and np.isnan(reached):
            paused = time.process_time()
            if truth.gap(truth.of_sampler(policy)) < 0.1:
                reached = paused - began - measured
            measured += time.process_time() - paused

    pretrain(truth.environment, EncodedObjects(data, 0, ""), policy, PRETRAINING, seed=seed, on_step=on_step)
    seconds = time.process_time() - began - measured
    return {"cpu_s": seconds, "sampler_gap": truth.gap(truth.of_sampler(policy)), "cpu_s_to_0.1": reached}


METHODS: dict[str, Callable[[str, Truth, int], dict[str, Any]]] = {
    "eb_gfn": eb_gfn,
    "no_base": partial(eb_gfn, has_base=False),
    "pcd": pcd,
    "pretrain": likelihood,
}


def measure(arm: str, seed: int) -> pd.DataFrame:
    """Return the row of a method on a density."""
    method, density = arm.split()
    truth = Truth(density, seed)
    return pd.DataFrame([{"arm": arm, "seed": seed, "entropy": truth.entropy, **METHODS[method](density, truth, seed)}])


def draw_figure(table: pd.DataFrame, path: Path) -> None:
    """Draw the gaps of each density, one dot for each seed, beside the level."""
    series = (
        ("eb_gfn", "energy_gap", "EB-GFN, energy", "#d1603d", "o"),
        ("eb_gfn", "sampler_gap", "EB-GFN, sampler", "#1f6f8b", "o"),
        ("no_base", "energy_gap", "without a base, energy", "#d1603d", "^"),
        ("no_base", "sampler_gap", "without a base, sampler", "#1f6f8b", "^"),
        ("pcd", "energy_gap", "PCD with Gibbs, energy", "#e8a87c", "s"),
        ("pretrain", "sampler_gap", "maximum likelihood, sampler", "#7fb7c9", "s"),
    )
    figure = Figure(figsize=(7, 3.4), layout="constrained")
    axis = figure.subplots()
    names = table["arm"].str.split().str[1]
    for offset, (method, column, label, colour, marker) in enumerate(series):
        rows = table[table["arm"].str.startswith(method + " ")]
        if len(rows):
            x = [list(GENERATORS).index(name) + 0.12 * (offset - 2.5) for name in names[rows.index]]
            axis.scatter(x, rows[column], label=label, color=colour, marker=marker, s=22)
    axis.axhline(0.05, color="grey", linewidth=0.8, linestyle="--", label="level, 0.05")
    axis.set_xticks(range(len(GENERATORS)), list(GENERATORS), fontsize=8)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("nats above the entropy of the data")
    axis.legend(fontsize=7)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--densities", nargs="+", default=list(GENERATORS), choices=list(GENERATORS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder of the results")
    parser.add_argument("--write", nargs=2, metavar=("DENSITY", "FILE"), help="write 200,000 words to a file, and end")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.write:
        np.save(options.write[1], sample(options.write[0], 200_000, N_BITS, 0))
        return
    arms = [f"{method} {density}" for method in options.methods for density in options.densities]
    path = options.out / "energy_2d.csv"
    table = measure_missing(path, arms, options.seeds, measure, "cpu_s", options.first_seed)
    ours = table[table["arm"].str.startswith("eb_gfn ")]
    within = (
        (ours["energy_gap"] <= 0.05)
        & (ours["sampler_gap"] <= 0.05)
        & (ours["l1"] <= 0.15)
        & (ours["log_z_off"].abs() <= 0.05)
        & (ours["cpu_s"] <= 180)
    )
    print(table.round(3).to_string(index=False))
    print(f"within every level: {int(within.sum())} of {len(ours)}")
    draw_figure(table, options.out / "energy_2d.png")


if __name__ == "__main__":
    main()
