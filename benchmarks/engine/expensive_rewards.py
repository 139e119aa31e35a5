"""Distance of the sampler's exact distribution from R/Z against the number of rewards, where these are expensive.

    .venv/bin/python benchmarks/engine/expensive_rewards.py      # about 15 s a seed on one core

The task is the 8 x 8 hypergrid of Bengio et al. 2021 (R0 = 0.1). Draws have 16 trajectories, so that 1,600 rewards are
100 draws; settings differ in the objective, in the passes over each draw (`epochs`), and in the replay. All have the
same network (2 x 64) and learning rate (3e-3), which were not tuned for any of them. Rows that
`benchmarks/results/expensive_rewards.csv` has are not measured again. Prints the mean L1 distance over the seeds.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.exact_distribution import terminal_distribution

RESULTS = Path(__file__).parents[1] / "results" / "expensive_rewards.csv"
HEIGHT = 8
BATCH = 16
POINTS = (400, 800, 1600)
ON_POLICY: dict[str, Any] = {"replay_size": 0, "backward_loss": "likelihood"}
SETTINGS: dict[str, dict[str, Any]] = {
    "trajectory_balance": {"replay_size": 0},
    "trajectory_balance, 8 epochs": {"replay_size": 0, "epochs": 8},
    "trajectory_balance, replay of 16": {"replay_size": 16},
    "trajectory_balance, replay of 16, 8 epochs": {"replay_size": 16, "epochs": 8},
    "vanilla_policy_gradient": {"objective": "vanilla_policy_gradient", **ON_POLICY},
    "entropic_ppo, 8 epochs": {"objective": "entropic_ppo", "epochs": 8, **ON_POLICY},
}


def measure(name: str, seed: int) -> list[dict[str, Any]]:
    """Train once, and return the L1 distance after each number of rewards."""
    torch.set_num_threads(1)
    environment = Hypergrid(2, HEIGHT)
    training = Training(batch_size=BATCH, hidden=64, lr=3e-3, **SETTINGS[name])
    trainer = Trainer(environment, StateReward(lambda states: corners(states, HEIGHT)), training, seed=seed)
    rows, began = [], time.process_time()
    for step in range(1, POINTS[-1] // BATCH + 1):
        trainer.step()
        if step * BATCH in POINTS:
            states, p = terminal_distribution(environment, trainer.policy)
            l1 = float((p - corners(states, HEIGHT).double().softmax(0)).abs().sum())
            cpu_s = time.process_time() - began
            rows.append({"setting": name, "seed": seed, "rewards": step * BATCH, "l1": l1, "cpu_s": cpu_s})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    table = pd.read_csv(RESULTS) if RESULTS.exists() else pd.DataFrame(columns=["setting", "seed"])
    for seed in range(seeds):
        for name in SETTINGS:
            if not len(table[(table["setting"] == name) & (table["seed"] == seed)]):
                table = pd.concat([table, pd.DataFrame(measure(name, seed))], ignore_index=True)
                table.to_csv(RESULTS, index=False)
    summary = table.groupby(["setting", "rewards"])["l1"].agg(["mean", "std"]).unstack("rewards")
    print(summary.reindex(list(SETTINGS)).round(3).to_string())
    print(table.groupby("setting")["cpu_s"].max().reindex(list(SETTINGS)).round(1).to_string())


if __name__ == "__main__":
    main()
