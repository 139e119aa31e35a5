"""The replicas of a learner as Ray actors, which the learner starts and which end with it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import ray
import torch
from ray.exceptions import GetTimeoutError, RayTaskError
from torch.distributed import is_nccl_available

from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import DEATHS, RoleActor, device_of, kill_actor, last_line
from al_loop.config import CampaignConfig
from al_loop.errors import ReplicaLost
from al_loop.gflownet.replicas import Command, Replica, Replicas, ReplicaSetup, ReplicaWorker
from al_loop.gflownet.team import Backend


class ReplicaActor(RoleActor):
    """A replica of the learner's weights in an actor of its own.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
        rank: Its number, from 1.
        setup: Its copy of the weights.
    """

    role = "learner"

    def __init__(self, config: CampaignConfig, path: list[str], rank: int, setup: ReplicaSetup) -> None:
        super().__init__(config, path)
        device = device_of(config, config.resources.learner)
        setup = replace(setup, training=replace(setup.training, device=device))
        self._worker = ReplicaWorker(rank, setup, ray.util.get_node_ip_address())

    def run(self, command: Command) -> Any:
        """Carry out a request, and return its result."""
        return command(self._worker)


class RayReplicas(Replicas):
    """Replicas as Ray actors with the resources of the learner.

    Args:
        config: The campaign's configuration.
        size: Number of processes, the learner included.
    """

    def __init__(self, config: CampaignConfig, size: int) -> None:
        super().__init__(size, ray.util.get_node_ip_address())
        self._config = config

    def launch(self, rank: int, setup: ReplicaSetup) -> Replica:
        return _RayReplica(self._config, rank, setup)

    def backend(self, device: torch.device) -> Backend:
        has_gpus = device.type == "cuda" and self._config.resources.learner.num_gpus >= 1 and is_nccl_available()
        return "nccl" if has_gpus else "gloo"


class _RayReplica(Replica):
    def __init__(self, config: CampaignConfig, rank: int, setup: ReplicaSetup) -> None:
        self._rank = rank
        options = options_of(config.resources.learner)
        self._actor: Any = ray.remote(ReplicaActor).options(**options).remote(config, list(sys.path), rank, setup)
        self._reference = self._actor.ready.remote()

    def begin(self, command: Command) -> None:
        self._reference = self._actor.run.remote(command)

    def result(self, timeout_s: float | None = None) -> Any:
        try:
            return ray.get(self._reference, timeout=timeout_s)
        except GetTimeoutError:
            return None
        except RayTaskError as error:
            raise error.cause from error
        except DEATHS as error:
            raise ReplicaLost(f"process {self._rank} of the learner died: {last_line(error)}") from error

    def close(self) -> None:
        kill_actor(self._actor)
