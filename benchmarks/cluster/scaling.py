"""Scaling of sampler training over Ray actors: the overhead of Ray, and the point where the learner is the limit.

    .venv/bin/python benchmarks/cluster/scaling.py            # about 20 minutes on 2 cores; --parts selects some

1. overhead: rewards without latency, drawn by actors and in the learner's own process; the time that Ray adds per draw.
2. cores: fragments with QED as reward, with 1 and 2 actors, with and without pipelining, compared with one process.
3. actors: 1 to 64 actors whose rewards take log-normal times (mean 0.5 s, sigma 1), with draws trained on in fixed
   order and by arrival: draws per second, compared with the limits of the actors and of the learner; bytes transferred.
4. asynchronous: time until 8 such actors have learned an 8 x 8 hypergrid to L1 < 0.3: pipelined (in either order) with
   a staleness of at most 15 steps, and synchronous with the same bound (all draw 16 batches, then 16 steps follow).

All parts use real actors; only the latency of the reward is simulated, by sleeping. Writes scaling.csv and scaling.png;
parts that were not selected keep their rows.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor
from al_loop.campaign.building import build_environment, training_settings
from al_loop.campaign.sampler_training import make_sampler
from al_loop.config import CampaignConfig
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import InlineSampler, PipelineStats, SamplerGroup, pipeline
from al_loop.gflownet.reward import AnyReward, StateReward
from al_loop.gflownet.sampler import Draw, DrawRequest
from al_loop.seeding import derive_seed

BENCHMARKS = Path(__file__).parents[1]
HEIGHT, LEVEL = 8, 0.3
PARTS = ("overhead", "cores", "actors", "asynchronous")
MEAN_S, SIGMA = 0.5, 1.0


def grid_reward() -> StateReward:
    return StateReward(lambda states: corners(states, 8))


def qed(objects: Any) -> torch.Tensor:
    from rdkit import Chem
    from rdkit.Chem.QED import qed as score

    torch.set_num_threads(1)
    return torch.tensor([8.0 * score(Chem.MolFromSmiles(o)) for o in objects])


class SlowSampler(SamplerActor):
    """A sampler whose reward sleeps; the duration depends only on the draw, not on the actor."""

    def fill(self, request: DrawRequest, weights: list[Any], reward: list[Any]) -> Draw:
        draw = super().fill(request, weights, reward)
        mean_s = float(os.environ.get("SLOW_MEAN_S", "0.5"))
        time.sleep(random.Random(request.seed).lognormvariate(math.log(mean_s) - SIGMA**2 / 2, SIGMA))
        return draw


def settings(environment: dict[str, Any], actors: int, **sampler: Any) -> CampaignConfig:
    content = {
        "name": "scaling",
        "environment": environment,
        "oracle": {"target": "none:none"},
        "sampler": {"replay_size": 0, **sampler},
        "resources": {"sampler": {"count": actors, "num_cpus": 0.1}},
    }
    return CampaignConfig.model_validate(content)


def run(config: CampaignConfig, group: SamplerGroup, reward: AnyReward, seed: int = 0) -> dict[str, Any]:
    """Train a sampler; return its speed, the bytes transferred, and the history of its weights."""
    learner = Learner(build_environment(config), training_settings(config), seed)
    group.set_reward(reward)
    learner.start(reward)
    stats, history = PipelineStats(), []
    began = time.monotonic()
    for _ in pipeline(learner, group, seed=lambda *at: derive_seed(seed, *at), stats=stats):
        history.append((time.monotonic() - began, learner.weights()))
    seconds = time.monotonic() - began
    n = len(history)
    return {
        "seconds": seconds,
        "draws_per_s": n / seconds,
        "trajectories_per_s": stats.trajectories / seconds,
        "learner_steps_per_s": n * config.sampler.updates / seconds,
        "learner_utilisation": 1 - stats.waited_s / seconds,
        "mean_staleness": statistics.mean(stats.staleness),
        "late": stats.late,
        "draw_kb": stats.draw_bytes / n / 1e3,
        "weight_kb": stats.weight_bytes / (n + 1) / 1e3,
        "history": history,
    }


def warm(group: RaySamplers, n: int, reward: AnyReward, config: CampaignConfig) -> None:
    """Wait until all actors have started and completed a draw."""
    group.set_reward(reward)
    group.set_weights(make_sampler(config)._policy.state_dict())
    while len(group._ready) < n:
        for draw in [group.begin(DrawRequest(1, seed)) for seed in range(2 * n)]:
            draw.result()


def measure_overhead(rows: list[dict[str, Any]]) -> None:
    grid = {"kind": "hypergrid", "dimensions": 2, "height": HEIGHT}
    for label, actors, staleness in (("own process", 0, 0), ("1 actor", 1, 0), ("1 actor", 1, 3), ("2 actors", 2, 3)):
        config = settings(grid, max(actors, 1), batch_size=16, steps=300, staleness=staleness)
        group: SamplerGroup
        if actors:
            group = RaySamplers(config)
            warm(group, actors, grid_reward(), config)
        else:
            group = InlineSampler(make_sampler(config))
        result = run(config, group, grid_reward())
        rows.append({"part": "overhead", "what": f"{label}, staleness {staleness}", "actors": actors, **result})
        group.close()
        report(rows[-1])
    alone, one = rows[-4]["draws_per_s"], rows[-3]["draws_per_s"]
    print(f"without pipelining, Ray adds {1e3 / one - 1e3 / alone:.1f} ms per draw: {1 - one / alone:.0%} of a step")


def measure_cores(rows: list[dict[str, Any]]) -> None:
    fragments = {"kind": "fragments"}
    for label, actors, staleness in (("own process", 0, 0), ("1 actor", 1, 0), ("1 actor", 1, 2), ("2 actors", 2, 4)):
        config = settings(fragments, max(actors, 1), batch_size=64, steps=40, staleness=staleness)
        group: SamplerGroup
        if actors:
            group = RaySamplers(config)
            warm(group, actors, qed, config)
        else:
            group = InlineSampler(make_sampler(config))
        result = run(config, group, qed)
        rows.append({"part": "cores", "what": f"{label}, staleness {staleness}", "actors": actors, **result})
        group.close()
        report(rows[-1])


def measure_actors(rows: list[dict[str, Any]], counts: list[int]) -> None:
    grid = {"kind": "hypergrid", "dimensions": 2, "height": HEIGHT}
    heavy = {"batch_size": 64, "replay_size": 1500}  # so that the learner becomes the limit
    own = settings(grid, 1, **heavy, steps=60)
    limit = run(own, InlineSampler(make_sampler(own)), grid_reward())
    drawing = sum(_timed_draw(own) for _ in range(20)) / 20
    learner_most = 1 / (1 / limit["draws_per_s"] - drawing)
    print(f"the learner can train on at most {learner_most:.0f} draws/s")
    for n, order in [(n, order) for n in counts for order in ("fixed", "arrival")]:
        steps = max(int(12 * min(0.8 * n / MEAN_S, learner_most)), 30)
        config = settings(grid, n, **heavy, steps=steps, staleness=2 * n - 1, order=order)
        group = RaySamplers(config, SlowSampler)
        warm(group, n, grid_reward(), config)
        result = run(config, group, grid_reward())
        most = n / MEAN_S
        rows.append(
            {
                "part": "actors",
                "what": f"{n} actors, {order}",
                "actors": n,
                "order": order,
                **result,
                "most_draws_per_s": most,
                "learner_most": learner_most,
                "sampler_utilisation": result["draws_per_s"] / most,
            }
        )
        group.close()
        report(rows[-1])


def _timed_draw(config: CampaignConfig) -> float:
    sampler = make_sampler(config)
    sampler.set_reward(grid_reward())
    began = time.monotonic()
    sampler.draw(config.sampler.batch_size, seed=1)
    return time.monotonic() - began


def time_to_level(history: list[tuple[float, dict[str, torch.Tensor]]], config: CampaignConfig) -> float:
    """Return the seconds until the L1 distance of the exact distribution from the target is below LEVEL, or NaN."""
    environment = Hypergrid(2, HEIGHT)
    policy = make_sampler(config)._policy
    for seconds, weights in history:
        policy.load_state_dict(weights)
        states, p = terminal_distribution(environment, policy)
        target = corners(states, HEIGHT).double().softmax(0)
        if float((p - target).abs().sum()) < LEVEL:
            return seconds
    return math.nan


def measure_asynchronous(rows: list[dict[str, Any]], seeds: int) -> None:
    grid = {"kind": "hypergrid", "dimensions": 2, "height": HEIGHT}
    n, bound = 8, 15
    common = {"batch_size": 16, "lr": 0.003}
    pipelined = settings(grid, n, **common, steps=480, staleness=bound)
    by_arrival = settings(grid, n, **common, steps=480, staleness=bound, order="arrival")
    together = settings(grid, n, **common, steps=480 // (bound + 1), updates=bound + 1, shares=bound + 1)
    for seed in range(seeds):
        for label, config in (
            ("asynchronous, fixed order", pipelined),
            ("asynchronous, by arrival", by_arrival),
            ("synchronous", together),
        ):
            group = RaySamplers(config, SlowSampler)
            warm(group, n, grid_reward(), config)
            result = run(config, group, grid_reward(), seed)
            group.close()
            seconds = time_to_level(result["history"], config)
            rows.append(
                {
                    "part": "asynchronous",
                    "what": label,
                    "actors": n,
                    "seed": seed,
                    **result,
                    "seconds_to_level": seconds,
                }
            )
            report(rows[-1])


def report(row: dict[str, Any]) -> None:
    """Print a row, and drop its history of weights."""
    row.pop("history")
    cells = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in row.items() if k not in ("part", "what")}
    print(f"{row['part']:12} {row['what']:26}", *(f"{k}={v}" for k, v in cells.items()), flush=True)


def plot(table: pd.DataFrame, path: Path) -> None:
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    slow = table[table["part"] == "actors"]
    for order, part in slow.groupby("order", sort=False):
        left.loglog(
            part["actors"], part["draws_per_s"], "o-", label={"fixed": "fixed order", "arrival": "by arrival"}[order]
        )
    left.loglog(slow["actors"], slow["most_draws_per_s"], "--", color="grey", label="limit of the actors")
    left.axhline(slow["learner_most"].iloc[0], color="tab:red", ls=":", label="limit of the learner")
    left.set(xlabel="sampler actors (reward of 0.5 s, log-normal)", ylabel="draws of 64 trajectories per second")
    counts = sorted(slow["actors"].unique())
    left.set_xticks(counts, [str(n) for n in counts])
    left.legend(loc="lower right", fontsize=8)
    both = table[table["part"] == "asynchronous"]
    for i, (_, part) in enumerate(both.groupby("what", sort=False)):
        right.barh(i, part["seconds_to_level"].median(), color=f"C{i}", alpha=0.6)
        right.plot(part["seconds_to_level"], [i] * len(part), "k.")
    right.set_yticks(range(both["what"].nunique()), list(both["what"].unique()))
    right.set(xlabel=f"seconds to L1 < {LEVEL}", title="8 actors, draws at most 15 steps old")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    import ray

    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as home:
        os.environ |= {"HOME": home, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(BENCHMARKS.parent)}
        os.environ["SLOW_MEAN_S"] = str(MEAN_S)
        ray.init(address="local", num_cpus=16, include_dashboard=False, log_to_driver=False)
        if "overhead" in options.parts:
            measure_overhead(rows)
        if "cores" in options.parts:
            measure_cores(rows)
        if "actors" in options.parts:
            measure_actors(rows, options.counts)
        if "asynchronous" in options.parts:
            measure_asynchronous(rows, options.seeds)
        ray.shutdown()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "scaling.csv"
    table = pd.DataFrame(rows)
    if path.exists():  # keep the parts that were not selected
        before = pd.read_csv(path)
        table = pd.concat([before[~before["part"].isin(options.parts)], table])
    table.to_csv(path, index=False, float_format="%.4g")
    if {"actors", "asynchronous"} <= set(table["part"]):
        plot(table, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
