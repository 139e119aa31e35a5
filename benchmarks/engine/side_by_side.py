"""Training steps per CPU second of several seeds in one process, against one after the other.

    .venv/bin/python benchmarks/engine/side_by_side.py       # 1 minute, one thread

The hypergrid 8^2, a network 64 x 2, trajectory balance, batches of 16. Prints a table, writes side_by_side.csv.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.execution.side_by_side import SideBySide
from benchmarks.support.tables import write_table

BENCHMARKS = Path(__file__).parents[1]


def rate(work: Callable[[], object], seconds: float) -> float:
    """Return the calls per CPU second, after three to warm up."""
    for _ in range(3):
        work()
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        work()
        count += 1
    return count / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    training = Training(batch_size=16, hidden=64, layers=2, replay_size=0, epsilon=0.0)
    environment, reward = Hypergrid(2, 8), StateReward(lambda states: corners(states, 8))
    alone = rate(Trainer(environment, reward, training).step, arguments.seconds)
    print(f"one after the other: {alone:.1f} training steps/s")
    rows = [{"seeds": 0, "steps_per_s": f"{alone:.4g}"}]
    for count in arguments.seeds:
        speed = count * rate(SideBySide(environment, reward, training, range(count)).step, arguments.seconds)
        print(f"{count:>3} side by side:     {speed:.1f} training steps/s, {speed / alone:.1f} times", flush=True)
        rows.append({"seeds": count, "steps_per_s": f"{speed:.4g}"})
    write_table(arguments.out / "side_by_side.csv", rows)


if __name__ == "__main__":
    main()
