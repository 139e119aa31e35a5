"""Roll-outs and training on one CPU thread, plain and compiled, beside gfnx (JAX) and torchgfn in the same run.

    .venv/bin/python benchmarks/engine/one_thread.py                      # 10 minutes; al-loop alone, or with --peers
    .venv/bin/python benchmarks/engine/one_thread.py --peers PYTHON       # a Python that has gfnx and torchgfn

The hypergrid 20^4, a network 256 x 2, trajectory balance with a learned backward policy. All sides are timed in CPU
seconds after their warm-up: roll-outs of an untrained policy, and training from the start. Compilation is not counted,
but reported. Prints a table, appends rows to one_thread.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.execution.compiled import compile_time

BENCHMARKS = Path(__file__).parents[1]
COLUMNS = ("who", "batch", "trajectories_per_s", "steps_per_s", "compile_s")


def rate(work: Callable[[], object], seconds: float, warm_up: int = 5) -> float:
    """Return the calls per CPU second."""
    for _ in range(warm_up):
        work()
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        work()
        count += 1
    return count / (time.process_time() - began)


def ours(execution: str, batch: int, seconds: float) -> dict[str, Any]:
    """Measure one way of execution."""
    training = Training(
        batch_size=batch, hidden=256, layers=2, replay_size=0, epsilon=0.0, clip_norm=None, execution=execution
    )
    began = compile_time.seconds
    trainer = Trainer(Hypergrid(4, 20), StateReward(lambda states: corners(states, 20)), training)
    seeds = iter(range(10**9))
    drawn = rate(lambda: trainer.sampler.draw(batch, seed=next(seeds)), seconds) * batch
    trained = rate(trainer.step, seconds, warm_up=30)
    return {
        "who": f"al-loop, {execution}",
        "batch": batch,
        "trajectories_per_s": drawn,
        "steps_per_s": trained,
        "compile_s": compile_time.seconds - began,
    }


def peers(python: str, batch: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Measure gfnx and torchgfn, each in its own process."""
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    variables = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    common = ["--batch", str(batch), "--seconds", str(seconds)]
    chunk = str(max(1, 200 // batch))
    for who, command in (
        ("gfnx", ["gfnx_hypergrid.py", *common, "--clock", "process", "--chunk", chunk]),
        ("torchgfn", ["torchgfn_tasks.py", "speed", "--task", "hypergrid_20x20x20x20", *common]),
    ):
        arguments = [python, str(BENCHMARKS / "peers" / command[0]), *command[1:]]
        done = subprocess.run(arguments, capture_output=True, text=True, env=variables, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if lines:
            yield {"who": who, "compile_s": "", **json.loads(lines[-1])}
        else:
            print(f"{who}: not measured ({(done.stderr.strip().splitlines() or ['no output'])[-1]})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--peers", help="a Python with gfnx and torchgfn")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "one_thread.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for batch in arguments.batches:
            rows = [ours(execution, batch, arguments.seconds) for execution in ("plain", "compiled")]
            if arguments.peers:
                rows += peers(arguments.peers, batch, arguments.seconds)
            for row in rows:
                writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
                file.flush()
                print(
                    f"{row['who']:<20}batch {batch:>5}{row['trajectories_per_s']:>12,.0f} trajectories/s"
                    f"{row['steps_per_s']:>10.1f} training steps/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
