"""Cost of a roll-out, relative to the bare network on the same states and to torchgfn's roll-out.

    .venv/bin/python benchmarks/engine/rollout_cost.py          # 3 minutes, one thread
    python benchmarks/engine/rollout_cost.py --device cuda      # trajectories per second, and the GPU's busy share

On the CPU, finished trajectories are skipped, by the roll-out and by the bare network. Prints a table, writes
rollout_cost_cpu.csv or rollout_cost_cuda.csv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectories import Trajectories
from benchmarks.support.tables import write_table
from benchmarks.support.tasks import TASKS

BENCHMARKS = Path(__file__).parents[1]
PEERS = BENCHMARKS.parent / ".venv-peers" / "bin" / "python"


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@torch.no_grad()
def measure(task: str, batch: int, repeats: int, device: torch.device) -> tuple[float, float]:
    """Measure roll-outs.

    Returns:
        Trajectories per second, and the ratio of the roll-out's time to the time of the bare network on the same
        states; medians.
    """
    settings = TASKS[task]
    environment = Hypergrid(settings.dimensions, settings.height)
    torch.manual_seed(0)
    policy = MLPPolicy(environment, settings.hidden, 2).to(device)
    generator = torch.Generator(device).manual_seed(0)
    whole, ratios = [], []
    for repeat in range(repeats + 1):
        wait(device)
        started = time.perf_counter()
        drawn = rollout(environment, policy, batch, generator=generator)
        wait(device)
        seconds = time.perf_counter() - started
        inputs = bare_inputs(environment, drawn, device)
        started = time.perf_counter()
        for x in inputs:
            policy.forward_head(policy.embed(x), None)
        wait(device)
        if repeat:
            whole.append(seconds)
            ratios.append(seconds / (time.perf_counter() - started))
    return batch / sorted(whole)[len(whole) // 2], sorted(ratios)[len(ratios) // 2]


def bare_inputs(environment: Hypergrid, drawn: Trajectories, device: torch.device) -> list[torch.Tensor]:
    """Return the features of each step's states, on the CPU without finished ones, as in the roll-out."""
    steps = zip(drawn.states, drawn.actions, strict=False)
    return [environment.features(s if device.type == "cuda" else s[a >= 0]) for s, a in steps]


def train_speed(task: str, device: torch.device) -> tuple[float, float]:
    """Return gradient steps per second, and GiB of GPU memory."""
    settings = TASKS[task]
    reward = StateReward(lambda states: corners(states, settings.height))
    training = Training(batch_size=4096, hidden=settings.hidden, layers=2, replay_size=0, device=str(device))
    trainer = Trainer(Hypergrid(settings.dimensions, settings.height), reward, training)
    for _ in range(5):
        trainer.step()
    wait(device)
    started = time.perf_counter()
    for _ in range(20):
        trainer.step()
    wait(device)
    return 20 / (time.perf_counter() - started), torch.cuda.max_memory_allocated() / 2**30


def busy_share(task: str, batch: int, device: torch.device) -> float:
    """Return the share of a roll-out's time in which the GPU computes."""
    settings = TASKS[task]
    environment = Hypergrid(settings.dimensions, settings.height)
    policy = MLPPolicy(environment, settings.hidden, 2).to(device)
    generator = torch.Generator(device).manual_seed(0)
    rollout(environment, policy, batch, generator=generator)
    wait(device)
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        started = time.perf_counter()
        rollout(environment, policy, batch, generator=generator)
        wait(device)
        seconds = time.perf_counter() - started
    busy = sum(event.self_device_time_total for event in profile.key_averages()) * 1e-6
    return busy / seconds


def peer(task: str, batch: int) -> dict[str, float]:
    """Measure torchgfn's roll-outs, in the peers' own environment."""
    options = ["--task", task, "--batch", str(batch), "--repeats", "7"]
    script = BENCHMARKS / "peers" / "torchgfn_tasks.py"
    done = subprocess.run([PEERS, script, "roll-out", *options], capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    batches = arguments.batches or ([256, 4096, 16384, 65536] if on_gpu else [16, 64, 256, 4096])
    rows = []
    print(
        f"{'task':<24}{'batch':>7}{'trajectories/s':>16}{'/ bare network':>16}"
        f"{'torchgfn/s':>12}{'/ bare':>8}{'times':>7}"
    )
    for task in ("hypergrid_8x8", "hypergrid_16x16x16x16"):
        for batch in batches:
            speed, ratio = measure(task, batch, arguments.repeats, device)
            row = {"task": task, "device": str(device), "batch": batch, "per_s": speed, "over_bare": ratio}
            text = f"{task:<24}{batch:>7}{speed:>16.0f}{ratio:>16.2f}"
            if on_gpu:
                row["busy"] = busy_share(task, batch, device)
                text += f"  GPU busy {row['busy']:.0%}"
            elif PEERS.exists():
                other = peer(task, batch)
                row |= {"torchgfn_per_s": other["trajectories_per_s"], "torchgfn_over_bare": other["ratio"]}
                times = speed / other["trajectories_per_s"]
                text += f"{other['trajectories_per_s']:>12.0f}{other['ratio']:>8.1f}{times:>7.1f}"
            rows.append(row)
            print(text, flush=True)
        if on_gpu:
            steps, memory = train_speed(task, device)
            print(f"{task:<24} {steps:.1f} gradient steps/s at batch 4096, {memory:.2f} GiB")
    write_table(arguments.out / f"rollout_cost_{device.type}.csv", rows)


if __name__ == "__main__":
    main()
