"""Overhead and fault tolerance of actor pools: al-loop's, RLlib's FaultTolerantActorManager and Ray's ActorPool.

    .venv/bin/python benchmarks/cluster/actor_pools.py        # about a minute

600 tasks of 5 ms on 2 actors, with two tasks in flight per actor; then the same, with one actor killed after 200 tasks.
What a pool does not do by itself is done by the loop that uses it (for RLlib's: remember the tasks of each actor,
reassign them, and probe whether the actor has restarted). Writes actor_pools.csv.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import ray

sys.path.append(str(Path(__file__).parents[2]))

from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor
from al_loop.config import CampaignConfig
from al_loop.gflownet.sampler import DrawRequest

BENCHMARKS = Path(__file__).parents[1]
N_TASKS, N_ACTORS, TASK_S, KILL_AFTER = 600, 2, 0.005, 200


class Sleeper(SamplerActor):
    """An actor with the methods that the three pools call."""

    def __init__(self, config: CampaignConfig | None = None, path: list[str] | None = None) -> None:
        self._label = "sleeper"

    def fill(self, request: DrawRequest, weights: Any = None, reward: Any = None) -> Any:
        time.sleep(TASK_S)
        return request.seed

    def work(self, i: int) -> int:
        time.sleep(TASK_S)
        return i

    def ping(self) -> str:
        return "pong"

    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return func(self, *args, **kwargs)


def ours(kill: bool) -> tuple[float, int]:
    """Run the tasks on al-loop's pool; return seconds and the number of completed tasks."""
    content = {
        "name": "pools",
        "environment": {"kind": "hypergrid"},
        "oracle": {"target": "none:none"},
        "resources": {"sampler": {"count": N_ACTORS, "num_cpus": 0.1}},
    }
    group = RaySamplers(CampaignConfig.model_validate(content), Sleeper)  # type: ignore[arg-type]
    while len(group._ready) < N_ACTORS:
        group.begin(DrawRequest(1, 0)).result()
    began = time.monotonic()
    waits = deque(group.begin(DrawRequest(1, i)) for i in range(N_TASKS))
    done: set[Any] = set()
    while waits:
        done.add(waits.popleft().result())
        if kill and len(done) == KILL_AFTER:
            ray.kill(group._ready[0].handle, no_restart=False)
    seconds = time.monotonic() - began
    group.close()
    return seconds, len(done)


def rllib(kill: bool) -> tuple[float, int]:
    """Run the tasks on RLlib's actor manager; return seconds and the number of completed tasks."""
    from ray.rllib.utils.actor_manager import FaultTolerantActorManager

    handles = [ray.remote(Sleeper).options(num_cpus=0.1, max_restarts=-1).remote() for _ in range(N_ACTORS)]
    ray.get([handle.ping.remote() for handle in handles])
    manager = FaultTolerantActorManager(handles, max_remote_requests_in_flight_per_actor=2)
    began = time.monotonic()
    waiting, done = deque(range(N_TASKS)), set()
    assigned: dict[int, set[int]] = {i: set() for i in manager.actor_ids()}
    is_killed = False
    while len(done) < N_TASKS:
        for actor in manager.healthy_actor_ids():
            while waiting and len(assigned[actor]) < 2:
                task = waiting.popleft()
                manager.foreach_actor_async("work", kwargs={"i": task}, remote_actor_ids=[actor], tag=str(task))
                assigned[actor].add(task)
        for result in manager.fetch_ready_async_reqs(timeout_seconds=0.02):
            if result.ok:
                done.add(result.get())
                assigned[result.actor_id].discard(result.get())
            else:
                waiting.extendleft(assigned[result.actor_id])
                assigned[result.actor_id] = set()
        if manager.num_healthy_actors() < N_ACTORS:
            manager.probe_unhealthy_actors(timeout_seconds=0.05, mark_healthy=True)
        if kill and len(done) >= KILL_AFTER and not is_killed:
            ray.kill(handles[0], no_restart=False)
            is_killed = True
    seconds = time.monotonic() - began
    for handle in handles:
        ray.kill(handle)
    return seconds, len(done)


def actor_pool(kill: bool) -> tuple[float, int]:
    """Run the tasks on Ray's ActorPool; return seconds and the number of completed tasks."""
    from ray.util import ActorPool

    handles = [ray.remote(Sleeper).options(num_cpus=0.1, max_restarts=-1).remote() for _ in range(N_ACTORS)]
    ray.get([handle.ping.remote() for handle in handles])
    pool = ActorPool(handles)
    began = time.monotonic()
    done: set[int] = set()
    for i in range(N_TASKS):
        pool.submit(lambda actor, task: actor.work.remote(task), i)
    while pool.has_next():
        try:
            done.add(pool.get_next_unordered(timeout=10))
        except ray.exceptions.RayError:
            continue  # the task is lost, and the pool does not report which
        except TimeoutError:
            break
        if kill and len(done) == KILL_AFTER:
            ray.kill(handles[0], no_restart=False)
    seconds = time.monotonic() - began
    for handle in handles:
        ray.kill(handle)
    return seconds, len(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    began = time.monotonic()
    importlib.import_module("ray.rllib.utils.actor_manager")
    print(f"importing RLlib's actor manager: {time.monotonic() - began:.1f} s")
    rows = []
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as home:
        os.environ |= {"HOME": home, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(BENCHMARKS.parent)}
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
        for kill in (False, True):
            for _ in range(options.repeats):
                for name, run in (("al-loop", ours), ("RLlib manager", rllib), ("ray.util.ActorPool", actor_pool)):
                    seconds, done = run(kill)
                    rows.append({"pool": name, "killed": kill, "seconds": seconds, "done": done})
        ray.shutdown()
    table = pd.DataFrame(rows)
    shortest = N_TASKS * TASK_S / N_ACTORS
    summary = table.groupby(["killed", "pool"]).agg(seconds=("seconds", "median"), done=("done", "min"))
    summary["beyond_ideal_ms_per_task"] = 1e3 * (summary["seconds"] - shortest) / N_TASKS
    print(summary.round(2).to_string())
    options.out.mkdir(parents=True, exist_ok=True)
    summary.round(3).to_csv(options.out / "actor_pools.csv")


if __name__ == "__main__":
    main()
