"""Decoding and preparation of a sampler's objects as Ray tasks, spread over the nodes."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import ray

from al_loop.gflownet.parallel_scoring import Workers

if TYPE_CHECKING:
    from al_loop.environments.base import Environment
    from al_loop.gflownet.parallel_scoring import Done, Task

_MAX_RETRIES = 3


def _run(path: list[str], environment: Environment, task: Task) -> Done:
    """Do a task in a process of Ray's.

    Args:
        path: The driver's import path.
        environment: The space.
        task: The task.
    """
    sys.path[:] = path
    import torch

    from al_loop.gflownet.parallel_scoring import run_task

    torch.set_num_threads(1)
    return run_task(environment, task)


class RayWorkers(Workers):
    """Ray tasks that decode and prepare objects.

    They reserve no cores: oracles that hold all of a cluster's would otherwise wait for a sampler that waits for them.
    Ray repeats the tasks of a node that dies elsewhere.

    Args:
        environment: The space.
        count: Number of tasks at a time.
    """

    serves_caller: ClassVar[bool] = False

    def __init__(self, environment: Environment, count: int) -> None:
        self.count = count
        self._environment = ray.put(environment)
        self._path = ray.put(list(sys.path))
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="decoder")
        self._task: Any = ray.remote(_run).options(
            num_cpus=0, scheduling_strategy="SPREAD", max_retries=_MAX_RETRIES, retry_exceptions=False
        )

    def submit(self, task: Task) -> Future[Done]:
        return self._threads.submit(self._do, task)

    def _do(self, task: Task) -> Done:
        done: Done = ray.get(self._task.remote(self._path, self._environment, task))
        return done

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def cores_for_decoders(n_samplers: int) -> int:
    """Return how many decoders each sampler gets, so that there is one for each core of the cluster.

    Args:
        n_samplers: Number of samplers that share the cores.
    """
    return max(int(ray.cluster_resources().get("CPU", 1)) // n_samplers, 1)
