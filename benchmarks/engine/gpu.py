"""Roll-outs and training on a GPU, compiled and recorded, beside gfnx (JAX) in the same run and the levels of issue 16.

    python benchmarks/engine/gpu.py                       # 8 minutes on one GPU; torch alone
    python benchmarks/engine/gpu.py --only hypergrid --batches 16 4096

- hypergrid: 20^4, network 256 x 2, trajectory balance with a learned backward policy: trajectories per second of an
  untrained policy, training steps per second, and the GPU's busy share of a roll-out, by number type; and of plain
  execution at batch 4,096. ``checks`` compares recorded and plain training on the GPU first.
- gfnx: the same, in a process of its own, if it can be imported (``--peers PYTHON`` for another Python).
- fragments: training steps per second with a reward of states, message passing 128 x 2.
- ``molecules.py speed round --device cuda`` measures scored molecules and a campaign's round; run it afterwards.

Each figure is printed beside its level and appended to gpu.csv as soon as it is known; rows that are there, of the same
card, are not measured again. Without a GPU it says 'not measured'.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.environments.base import Environment
from al_loop.environments.fragments import Fragments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet import StateReward, Trainer, Training
from al_loop.gflownet.execution.compiled import compile_time
from al_loop.gflownet.sampler import DrawRequest, PendingDraw
from benchmarks.support.tables import append_row

BENCHMARKS = Path(__file__).parents[1]
PARTS = ("checks", "gfnx", "hypergrid", "fragments")
WAYS = ("graphed-tf32", "graphed-bfloat16", "graphed-float32", "plain-float32")
COLUMNS = ("card", "part", "who", "batch", "figure", "value", "level")
#: gfnx on an H200, 2026-11-26, if it cannot be measured in the same run: roll-outs and training steps per second
PUBLISHED = {16: (8677, 462), 256: (106790, 337), 4096: (1339852, 166), 65536: (4997902, 20.7)}


class Table:
    """A CSV file that each figure is appended to.

    Args:
        path: the file.
        card: name of the GPU.
    """

    def __init__(self, path: Path, card: str) -> None:
        self._path, self._card = path, card
        self._rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self._rows = [row for row in csv.DictReader(file) if row["card"] == card]

    def value(self, part: str, who: str, batch: int, figure: str) -> float | None:
        """Return a figure of this card, or None if it was not measured."""
        key = (part, who, str(batch), figure)
        found = [row for row in self._rows if (row["part"], row["who"], row["batch"], row["figure"]) == key]
        return float(found[-1]["value"]) if found else None

    def add(self, part: str, who: str, batch: int, figure: str, value: float, level: float | None = None) -> None:
        """Print and append a figure."""
        numbers = (part, who, str(batch), figure, f"{value:.6g}", "" if level is None else f"{level:.6g}")
        row = dict(zip(COLUMNS, (self._card, *numbers), strict=True))
        append_row(self._path, row)
        self._rows.append(row)
        verdict = "" if level is None else f"   level {level:,.6g}: {'reached' if value >= level else 'MISSED'}"
        print(f"{part:<10}{who:<22}batch {batch:>6}  {figure:<20}{value:>14,.6g}{verdict}", flush=True)


def rate(work: Callable[[], object], seconds: float, warm_up: int) -> float:
    """Return the calls per second, after some that compile and record."""
    for _ in range(warm_up):
        work()
    torch.cuda.synchronize()
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        work()
        count += 1
    torch.cuda.synchronize()
    return count / (time.perf_counter() - began)


def busy_share(work: Callable[[], object]) -> float:
    """Return the share of a call's time in which the GPU computes."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(50):
        work()
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / 50
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    return sum(event.self_device_time_total for event in profile.key_averages()) * 1e-6 / seconds


def trainer(environment: Environment, reward: StateReward, batch: int, hidden: int, **options: Any) -> Trainer:
    training = Training(
        batch_size=batch, hidden=hidden, layers=2, replay_size=0, epsilon=0.0, clip_norm=None, device="cuda", **options
    )
    return Trainer(environment, reward, training)


def grid_reward() -> StateReward:
    return StateReward(lambda states: corners(states, 20), is_recordable=True)


def draws_of(one: Trainer, batch: int) -> Callable[[], object]:
    """Return a function that waits for a draw and has begun the next one, as a training with a staleness does."""
    seeds = iter(range(10**9))
    begun: deque[PendingDraw] = deque()

    def draw() -> object:
        begun.append(one.sampler.begin(DrawRequest(batch, next(seeds))))
        return begun.popleft().result() if len(begun) > 1 else None

    return draw


def checks(table: Table, _: argparse.Namespace) -> None:
    """Compare recorded with plain gradient steps on the GPU, and count graphs that were not reproduced."""
    names = ("plain", "graphed")
    both = [trainer(Hypergrid(4, 20), grid_reward(), 64, 64, execution=n, precision="float32") for n in names]
    draws = [both[0].sampler.draw(64, seed=i) for i in range(5)]
    losses = [[t.learner.update(draw, seed=i) for i, draw in enumerate(draws)] for t in both]
    gaps = [abs(a - b) / max(abs(a), 1e-9) for a, b in zip(*losses, strict=True)]
    table.add("checks", "graphed / plain loss", 64, "first difference", gaps[0])
    table.add("checks", "graphed / plain loss", 64, "largest difference", max(gaps))  # Adam enlarges those before
    first, second = (both[1].sampler.draw(4096, seed=7).trajectories.terminal for _ in range(2))
    table.add("checks", "graphed", 4096, "same seed, same draw", float(torch.equal(first, second)), 1.0)


def gfnx(table: Table, options: argparse.Namespace) -> None:
    script = BENCHMARKS / "peers" / "gfnx_hypergrid.py"
    for batch in options.batches:
        if table.value("hypergrid", "gfnx", batch, "steps_per_s") is not None:
            continue
        command = [options.peers, str(script), "--side", "20", "--batch", str(batch), "--seconds", str(options.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            print(f"gfnx: not measured ({(done.stderr.strip().splitlines() or ['no output'])[-1]})", flush=True)
            return
        row = json.loads(lines[-1])
        for figure in ("trajectories_per_s", "steps_per_s"):
            table.add("hypergrid", "gfnx", batch, figure, row[figure])


def hypergrid(table: Table, options: argparse.Namespace) -> None:
    for way in options.ways:
        execution, precision = way.split("-")
        for batch in options.batches if execution == "graphed" else [4096]:
            who = f"{execution}, {precision}"
            if table.value("hypergrid", who, batch, "steps_per_s") is not None:
                continue
            factor = 1.5 if batch >= 4096 else 1.0
            own = [table.value("hypergrid", "gfnx", batch, f) for f in ("trajectories_per_s", "steps_per_s")]
            levels = [factor * (a or b) for a, b in zip(own, PUBLISHED.get(batch, (0, 0)), strict=True)]
            seconds_before = compile_time.seconds
            one = trainer(Hypergrid(4, 20), grid_reward(), batch, 256, execution=execution, precision=precision)
            draw = draws_of(one, batch)
            speed = rate(draw, options.seconds, 12) * batch
            table.add("hypergrid", who, batch, "trajectories_per_s", speed, levels[0])
            table.add("hypergrid", who, batch, "busy_share", busy_share(draw), 0.9 if batch == 4096 else None)
            table.add("hypergrid", who, batch, "steps_per_s", rate(one.step, options.seconds, 40), levels[1])
            table.add("hypergrid", who, batch, "compile_s", compile_time.seconds - seconds_before)
            table.add("hypergrid", who, batch, "memory_gib", torch.cuda.max_memory_allocated() / 2**30)
            del one
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def fragments(table: Table, options: argparse.Namespace) -> None:
    environment = Fragments()
    # ten atoms more are e times better, up to 25
    size = environment.tables(torch.device("cuda")).n_atoms

    def reward(states: torch.Tensor) -> torch.Tensor:
        return size[states[:, : environment.max_fragments]].sum(1).clamp(max=25).float() / 10

    for execution in ("graphed", "plain"):
        for batch, level in ((64, 100.0), (1024, 40.0)):
            if table.value("fragments", execution, batch, "steps_per_s") is None:
                one = trainer(environment, StateReward(reward, is_recordable=True), batch, 128, execution=execution)
                table.add("fragments", execution, batch, "steps_per_s", rate(one.step, options.seconds, 20), level)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 256, 4096, 65536])
    parser.add_argument("--ways", nargs="+", default=WAYS, help="executions and number types")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--peers", default=sys.executable, help="a Python with gfnx")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print(f"not measured: no GPU ({', '.join(options.only)})")
        return
    card = torch.cuda.get_device_name()
    table = Table(options.out / "gpu.csv", card)
    print(f"{card}, torch {torch.__version__}", flush=True)
    for part in options.only:
        try:
            {"checks": checks, "gfnx": gfnx, "hypergrid": hypergrid, "fragments": fragments}[part](table, options)
        except Exception as error:  # what was measured is kept, and the other parts are measured
            print(f"{part}: not measured further ({type(error).__name__}: {error})", flush=True)


if __name__ == "__main__":
    main()
