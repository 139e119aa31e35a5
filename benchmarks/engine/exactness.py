"""Distance of the sampler's exact distribution from R/Z during training, compared with torchgfn's trajectory balance.

    make peers && .venv/bin/python benchmarks/engine/exactness.py      # about 20 minutes per seed on one core

The tasks are the hypergrids 8^2 and 16^4 (R0 = 0.1) and all 8-mers with TFBind8's table as reward. L1 distance and
Jensen-Shannon divergence between the exact terminal distribution (computed by propagating flows) and R/Z are measured
against trajectories and training time (one thread, evaluation excluded). Both sides use the same network, learning
rates and batch size per gradient step. Prints the cost of each level of L1, writes exactness.csv and exactness.png.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.base import Environment
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.exact_distribution import terminal_distribution
from benchmarks.support.tasks import TASKS, distances, tfbind8_log_reward

BENCHMARKS = Path(__file__).parents[1]
PEERS = BENCHMARKS.parent / ".venv-peers" / "bin" / "python"
OBJECTIVES = (
    "trajectory_balance",
    "sub_trajectory_balance",
    "detailed_balance",
    "log_partition_variance",
    "flow_matching",
)
BUDGETS = {"hypergrid_8x8": 9600, "hypergrid_16x16x16x16": 102400, "tfbind8": 102400}
POINTS = {"hypergrid_8x8": 75, "hypergrid_16x16x16x16": 32, "tfbind8": 32}
LEVELS = (1.0, 0.7, 0.5, 0.3, 0.2, 0.15, 0.1, 0.05, 0.03)


def build(task: str) -> tuple[Environment, StateReward]:
    """Build the environment and the reward of a task."""
    settings = TASKS[task]
    if settings.dimensions:
        height = settings.height
        return Hypergrid(settings.dimensions, height), StateReward(lambda states: corners(states, height), True)
    strides = 4 ** torch.arange(7, -1, -1)
    return Sequences("ACGT", 8), StateReward(lambda states: tfbind8_log_reward((states[:, :8] * strides).sum(1)))


def ours(
    task: str, objective: str, seed: int, budget: int, points: int, updates: int, ema: float
) -> list[dict[str, Any]]:
    """Train our sampler on a task.

    Args:
        task: a key of ``TASKS``.
        objective: kind of the training objective.
        seed: of the training.
        budget: number of trajectories.
        points: number of evaluations on the way.
        updates: gradient steps per draw.
        ema: decay of the moving average of weights that draws.

    Returns:
        One row per evaluation: trajectories, seconds, CPU seconds, L1 and Jensen-Shannon divergence.
    """
    settings = TASKS[task]
    environment, log_reward = build(task)
    training = Training(
        batch_size=settings.batch_size,
        updates=updates,
        objective=objective,
        hidden=settings.hidden,
        layers=2,
        lr=settings.lr,
        lr_log_z=settings.lr_log_z,
        replay_size=0,
        epsilon=0.0,
        clip_norm=None,
        ema=ema,
    )
    trainer = Trainer(environment, log_reward, training, seed=seed)
    n_steps = budget // (settings.batch_size * updates)
    rows, seconds, cpu = [], 0.0, 0.0
    for step in range(1, n_steps + 1):
        started, started_cpu = time.perf_counter(), time.process_time()
        trainer.step()
        seconds += time.perf_counter() - started
        cpu += time.process_time() - started_cpu
        if step % max(n_steps // points, 1) == 0:
            states, p = terminal_distribution(environment, trainer.policy)
            l1, js = distances(p, log_reward.function(states))
            n = step * settings.batch_size * updates
            rows.append({"trajectories": n, "seconds": seconds, "cpu": cpu, "l1": l1, "js": js})
    return rows


def peer(task: str, seed: int, budget: int, points: int) -> list[dict[str, Any]]:
    """Train torchgfn's sampler on a task, in the peers' own environment; return rows like those of ``ours``."""
    script = BENCHMARKS / "peers" / "torchgfn_tasks.py"
    options = ["--task", task, "--seed", str(seed), "--budget", str(budget), "--points", str(points)]
    done = subprocess.run([PEERS, script, "train", *options], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def cost(table: pd.DataFrame, column: str, level: float) -> float:
    """Return the cost at which L1 first falls below a level.

    Args:
        table: the rows of one task and method.
        column: the cost, ``trajectories`` or ``cpu``.
        level: of L1, averaged over the seeds.

    Returns:
        The cost, averaged over the seeds; NaN if the level is never reached.
    """
    curve = table.groupby("trajectories")[["l1", column] if column != "trajectories" else ["l1"]].mean()
    below = curve[curve["l1"] < level]
    if below.empty:
        return float("nan")
    return float(below.index[0] if column == "trajectories" else below[column].iloc[0])


def report(table: pd.DataFrame) -> None:
    for task, of_task in table.groupby("task", sort=False):
        methods = list(of_task["method"].unique())
        print(f"\n{task}: trajectories / CPU seconds until L1 is below")
        print("  ".join([f"{'L1':>5}", *(f"{m:>24}" for m in methods)]))
        for level in LEVELS:
            cells = []
            for method in methods:
                curve = of_task[of_task["method"] == method]
                n, s = cost(curve, "trajectories", level), cost(curve, "cpu", level)
                cells.append(f"{'-' if n != n else f'{n:.0f} / {s:.1f}':>24}")
            if any(c.strip() != "-" for c in cells):
                print("  ".join([f"{level:>5}", *cells]))


def plot(table: pd.DataFrame, path: Path) -> None:
    tasks = list(table["task"].unique())
    colours = dict(
        zip(["torchgfn", *OBJECTIVES], ["#222222", "#1f6f8b", "#d1603d", "#7a9e3f", "#b07aa1", "#c9a227"], strict=True)
    )
    figure = Figure(figsize=(10, 3.1 * len(tasks)), dpi=130, layout="constrained")
    axes = figure.subplots(len(tasks), 2, squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for ax, column in zip(row, ("trajectories", "cpu"), strict=True):
            for method, of_method in table[table["task"] == task].groupby("method", sort=False):
                curve = of_method.groupby("trajectories")[["l1", "cpu"]].mean().reset_index()
                ax.plot(
                    curve[column],
                    curve["l1"],
                    color=colours[method],
                    linewidth=2.2 if method in ("torchgfn", "trajectory_balance") else 1.1,
                    label=method.replace("_", " "),
                )
            ax.set(xscale="log", yscale="log", xlabel="CPU seconds" if column == "cpu" else column)
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}" if task == "tfbind8" else "")
            ax.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(f"{task.replace('_', ' ')}\nL1 to R/Z")
    axes[0, 1].legend(frameon=False, fontsize=8)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--updates", type=int, default=8, help="gradient steps per draw (al-loop only)")
    parser.add_argument(
        "--ema", type=float, default=0.9, help="decay of the moving average of weights that draws (al-loop only)"
    )
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    has_peer = PEERS.exists()
    if not has_peer:
        print(f"torchgfn is skipped, because {PEERS} does not exist; `make peers` installs it")
    rows = []
    for task in arguments.tasks:
        for seed in range(arguments.seeds):
            methods = ["torchgfn", *arguments.objectives] if has_peer else arguments.objectives
            for method in methods:
                settings = (task, seed, BUDGETS[task], POINTS[task])
                curve = (
                    peer(*settings)
                    if method == "torchgfn"
                    else ours(task, method, seed, *settings[2:], updates=arguments.updates, ema=arguments.ema)
                )
                rows += [{"task": task, "method": method, "seed": seed, **point} for point in curve]
                last = curve[-1]
                print(f"{task} {method} seed {seed}: L1 {last['l1']:.4f} after {last['cpu']:.1f} s", flush=True)
            table = pd.DataFrame(rows)
            arguments.out.mkdir(parents=True, exist_ok=True)
            table.to_csv(arguments.out / "exactness.csv", index=False, float_format="%.6g")
    report(table)
    plot(table, arguments.out / "exactness.png")


if __name__ == "__main__":
    main()
