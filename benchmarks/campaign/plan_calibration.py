"""Calibration of the bands of ``al-loop plan`` on landscapes that are known.

    python benchmarks/campaign/plan_calibration.py             # 50 campaigns of each task, about 20 minutes, one core
    python benchmarks/campaign/plan_calibration.py --tasks rna --minutes 10   # the same command goes on from there

TFBind8 (DNA words of 8 letters, all measured; the plan is told that scores end at 1), RNA (words of 14 letters,
ViennaRNA) and Enamine10k (docking scores of molecules of a catalogue, here described by Morgan fingerprints alone). For
each campaign, 40 random objects are measured first; a plan of 24 simulations is made from these data alone, with
hyperparameters and skewness drawn from their posterior; and then a campaign with the same candidates, models,
acquisition and selector spends 80 calls, in batches of 20, on the true values. Counted is how often its best value
after 20, 40 and 80 calls lies within the plan's band from 10 to 90 %, at which level of the simulations it lies, and
how often a goal (the middle of the plan's simulations after 40 calls) is reached, against the promised chance.

``--fixed`` draws functions with the most likely hyperparameters instead, to show what drawing them is worth. A
campaign whose best value equals many simulated ones (such as that of the data) has a level within a range; a random one
of it is taken.

Prints the coverage with its binomial error, writes plan_calibration.csv and plan_calibration.png.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from al_loop import load_config
from al_loop.campaign.preparation import CampaignParts, prepare
from al_loop.ledger import Answer, Import
from al_loop.oracles.base import Outcome
from al_loop.planning.beliefs import believed_world, draw_pool
from al_loop.planning.settings import PlanSettings
from al_loop.planning.simulation import Simulation, Space, Variant
from al_loop.planning.truths import Truth
from al_loop.seeding import derive_seed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
#: config, changes, candidates, and the best value that is possible; Morgan fingerprints take a quarter of the time of
#: the three kernels of that config
TASKS: dict[str, tuple[str, tuple[str, ...], int, float | None]] = {
    "tfbind8": ("tfbind8", (), 1000, 1.0),
    "rna": ("rna_binding", (), 1000, None),
    "enamine10k": ("pool_enamine10k", ("features={kind: morgan}",), 600, None),
}
N_DATA, BATCH, CALLS, SIMULATIONS = 40, 20, (20, 40, 80), 24


class Known(Truth):
    """The oracle itself, whose answers cost nothing."""

    def __init__(self, parts: CampaignParts) -> None:
        self._oracle = parts.oracle

    def measure(self, objects: Sequence[str], level: int) -> list[tuple[float, ...] | None]:
        return [outcome.values for outcome in self._oracle.evaluate(list(objects))]


def measure(task: str, campaign: int, *, is_fixed: bool) -> list[dict[str, object]]:
    """Return what a campaign brought, and what its plan promised, after each number of calls."""
    name, changes, pool, limit = TASKS[task]
    own = [f"seed={campaign}", f"rounds.batch_size={BATCH}", *changes]
    config = load_config(ROOT / "configs" / f"{name}.yaml", own)
    parts = prepare(config)
    names, truth = draw_pool(parts, pool), Known(parts)
    order = np.random.default_rng(derive_seed(campaign, "data")).permutation(len(names))
    data = [names[i] for i in order[:N_DATA].tolist()]
    now = datetime.now(UTC)
    imports = tuple(
        Import(name, Answer(0, Outcome(values=values), "benchmark", now, now))
        for name, values in zip(data, truth.measure(data, 0), strict=True)
        if values is not None
    )
    settings = PlanSettings(
        0.0, calls=CALLS, simulations=SIMULATIONS, limit=limit, has_variants=False, draws_hyperparameters=not is_fixed
    )
    world = believed_world(parts, settings, names, imports)
    space, variant, sign = Space(parts, names), Variant(BATCH, 0, imports), parts.objectives.signs[0]
    curves = np.stack(
        [
            Simulation(parts, space, own, variant, derive_seed(campaign, "plan", k)).run(CALLS[-1])
            for k, own in enumerate(world.truths)
        ]
    )
    actual = Simulation(parts, space, truth, variant, derive_seed(campaign, "true")).run(CALLS[-1])
    rng = np.random.default_rng(derive_seed(campaign, "ties"))
    goal = sign * float(np.median(sign * curves[:, CALLS[1] - 1]))
    start = max(sign * i.answer.outcome.values[0] for i in imports if i.answer.outcome.values is not None)
    rows = []
    for n in CALLS:
        simulated, own = sign * curves[:, n - 1], float(sign * actual[n - 1])
        below, equal = int((simulated < own - 1e-12).sum()), int((np.abs(simulated - own) <= 1e-12).sum())
        level = (below + rng.random() * (equal + 1)) / (SIMULATIONS + 1)
        rows.append(
            {
                "task": task, "arm": "fixed" if is_fixed else "drawn", "campaign": campaign, "calls": n,
                "start": sign * start, "best": sign * own, "low": sign * np.quantile(simulated, 0.1),
                "median": sign * np.median(simulated), "high": sign * np.quantile(simulated, 0.9), "level": level,
                "promised": float((simulated >= sign * goal).mean()), "reached": int(own >= sign * goal),
            }
        )  # fmt: skip
    return rows


def coverage(levels: np.ndarray) -> tuple[float, float]:
    """Return the share of levels within 10 and 90 %, and its binomial error."""
    n, k = len(levels), int(((levels >= 0.1) & (levels <= 0.9)).sum())
    p = (k + 0.5) / (n + 1)
    return k / n, math.sqrt(p * (1 - p) / n)


def summary(table: pd.DataFrame) -> str:
    """Return the coverage of each task and arm, beside the promise."""
    heads = f"{'task':<12}{'arm':<7}{'calls':>6}{'n':>5}{'inside 10-90 %':>22}{'below':>8}{'above':>8}"
    lines = [f"{heads}   goal: promised, reached"]
    for (task, arm, n), rows in table.groupby(["task", "arm", "calls"], sort=False):
        levels = rows["level"].to_numpy()
        share, error = coverage(levels)
        lines.append(
            f"{task:<12}{arm:<7}{n:>6}{len(rows):>5}{share:>12.2f} ± {error:.2f} (0.80){(levels < 0.1).mean():>8.2f}"
            f"{(levels > 0.9).mean():>8.2f}   {rows['promised'].mean():.2f}, {rows['reached'].mean():.2f}"
        )
    return "\n".join(lines)


def plot(table: pd.DataFrame, path: Path) -> None:
    """Plot how often the true best value lies below each level of the simulations."""
    table = table[table["arm"] == "drawn"]
    tasks = list(dict.fromkeys(table["task"]))
    figure = Figure(figsize=(3.2 * len(tasks), 3.4), layout="constrained")
    for axes, task in zip(np.atleast_1d(figure.subplots(1, len(tasks))), tasks, strict=True):
        rows = table[table["task"] == task]
        for n, own in rows.groupby("calls"):
            levels = np.sort(own["level"])
            axes.step(
                [0, *levels, 1], [0, *(np.arange(len(levels)) + 1) / len(levels), 1], where="post", label=f"{n} calls"
            )
        line, n = np.linspace(0, 1, 101), rows["campaign"].nunique()
        error = 1.96 * np.sqrt(line * (1 - line) / n)
        axes.fill_between(line, line - error, line + error, color="grey", alpha=0.2, linewidth=0)
        axes.plot(line, line, color="grey", linewidth=0.8)
        axes.set(title=f"{task}, {n} campaigns", xlabel="level among the simulations", xlim=(0, 1), ylim=(0, 1))
        axes.legend(fontsize=7, loc="upper left")
    figure.supylabel("share of campaigns at or below", fontsize=10)
    figure.suptitle("Best value so far against the plan; grey: perfect, with 95 % of its binomial spread", fontsize=9)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--campaigns", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further campaign begins")
    parser.add_argument("--fixed", action="store_true", help="the most likely hyperparameters in place of drawn ones")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    path = arguments.out / "plan_calibration.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["task", "arm", "campaign"])
    arm, end = "fixed" if arguments.fixed else "drawn", time.monotonic() + 60 * arguments.minutes
    for campaign in range(arguments.campaigns):
        for task in arguments.tasks:
            if ((table["task"] == task) & (table["arm"] == arm) & (table["campaign"] == campaign)).any():
                continue
            if time.monotonic() > end:
                break
            rows = pd.DataFrame(measure(task, campaign, is_fixed=arguments.fixed))
            table = rows if table.empty else pd.concat([table, rows], ignore_index=True)
            table.to_csv(path, index=False, float_format="%.6g")
            print(f"{task}, campaign {campaign}: levels {', '.join(f'{v:.2f}' for v in rows['level'])}", flush=True)
    print(summary(table))
    plot(table, arguments.out / "plan_calibration.png")


if __name__ == "__main__":
    main()
