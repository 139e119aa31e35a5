"""Replicas of a learner's weights: processes that train on parts of its batches.

The learner has rank 0. It draws histories, scores and conditions the whole batch, and sends each replica its part; all
then make the same gradient step (``team``). Since each process adds up the same numbers in the same order, all have
the same weights, and a training is reproducible for a fixed number of processes.
"""

from __future__ import annotations

import copy
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import methodcaller
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from al_loop.environments.base import Environment
from al_loop.errors import ReplicaLost
from al_loop.gflownet.batch_training import Batch, BatchTraining
from al_loop.gflownet.device import find_device
from al_loop.gflownet.log_z import LogZ
from al_loop.gflownet.objectives.base import Objective
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.settings import TrainingSettings
from al_loop.gflownet.team import Backend, Team, TeamStore
from al_loop.gflownet.trained_weights import TrainedWeights

_DEATH_S = 10.0  # after which a process whose connection has ended is seen to be dead


@dataclass(frozen=True)
class ReplicaSetup:
    """All that a replica needs to build its copy of the weights.

    Args:
        environment: the space.
        training: the settings, with the device of the replica.
        objective: the loss.
        policy: the policy, on the CPU.
        log_z: log Z, on the CPU.
        size: number of processes, the learner included.
        address: host and port of the team's store.
        backend: the library that adds up gradients.
        threads: number of torch's threads.
    """

    environment: Environment
    training: TrainingSettings
    objective: Objective
    policy: Policy
    log_z: LogZ
    size: int
    address: tuple[str, int]
    backend: Backend
    threads: int


Module = TypeVar("Module", bound=nn.Module)


def on_cpu(module: Module) -> Module:
    """Return a module on the CPU: itself, or a copy if it is elsewhere (its frozen weights may be shared)."""
    if next(module.parameters()).device.type == "cpu":
        return module
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    copied: Module = torch.load(buffer, map_location="cpu", weights_only=False)
    return copied


#: a request to a replica
Command = Callable[["ReplicaWorker"], Any]


class ReplicaWorker:
    """A replica, in its own process.

    Args:
        rank: its number, from 1.
        setup: its copy of the weights, and where to find the others.
        host: the address of this machine's network interface.
    """

    def __init__(self, rank: int, setup: ReplicaSetup, host: str = "127.0.0.1") -> None:
        torch.set_num_threads(setup.threads)
        self._device = find_device(setup.training.device)
        policy, log_z = setup.policy.to(self._device), setup.log_z.to(self._device)
        weights = TrainedWeights(policy, log_z, setup.training)
        self._training = BatchTraining(setup.environment, setup.training, setup.objective, weights, self._device)
        if setup.objective.uses_reference:
            self._training.reference = policy.reference()
        self._rank, self._setup, self._host = rank, setup, host

    def connect(self) -> None:
        """Join the team."""
        setup, device = self._setup, self._device
        self._training.team = Team.connect(self._rank, setup.size, setup.address, setup.backend, device, self._host)

    def step(self, part: Batch, reward: Mapping[str, Tensor] | None) -> None:
        """Make one gradient step together with the other processes.

        Args:
            part: this replica's part of the batch.
            reward: the weights of a live reward.
        """
        if reward is not None and self._training.state_reward is not None:
            module = self._training.state_reward.live_module
            if module is not None:
                module.load_state_dict(reward)
        self._training.step(part.to(self._device))

    def set_reward(self, reward: StateReward) -> None:
        """Set the reward of unfinished or stopped objects."""
        self._training.state_reward = reward

    def set_reference(self, reference: Policy) -> None:
        """Set the frozen policy of a relative objective."""
        self._training.reference = reference.to(self._device)

    def scale_rates(self, share: float) -> None:
        """Set every learning rate to a share of that of the settings."""
        self._training.weights.scale_rates(share)

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state of ``TrainedWeights``."""
        self._training.weights.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """Return the state of ``TrainedWeights``, on the CPU."""
        return copy.deepcopy(self._training.weights.state_dict())


class Replica(ABC):
    """The learner's end of a replica."""

    @abstractmethod
    def begin(self, command: Command) -> None:
        """Send a request.

        Raises:
            ReplicaLost: the replica has died.
        """

    @abstractmethod
    def result(self, timeout_s: float | None = None) -> Any:
        """Wait until the last request has been carried out (at first: until it is built), and return its result.

        Args:
            timeout_s: longest wait, after which the result is None; None: any.

        Raises:
            ReplicaLost: the replica has died, or its weights do not fit into memory.
            Exception: what the request raised; the replica ends.
        """

    @abstractmethod
    def close(self) -> None:
        """End the replica's process."""


class Replicas(ABC):
    """The processes that share a learner's batches.

    Args:
        size: number of processes, the learner included.
        host: the address at which the replicas reach the learner.

    Raises:
        ValueError: the size is below 2.
    """

    def __init__(self, size: int, host: str = "127.0.0.1") -> None:
        if size < 2:
            raise ValueError(f"replicas: must be at least 2, got {size}")
        self.size, self._host = size, host
        self._replicas: list[Replica] = []
        self._training: BatchTraining | None = None
        self._store: TeamStore | None = None

    @abstractmethod
    def launch(self, rank: int, setup: ReplicaSetup) -> Replica:
        """Start the process of a replica.

        Args:
            rank: its number, from 1.
            setup: its copy of the weights.
        """

    def backend(self, device: torch.device) -> Backend:
        """Return the library that adds up gradients: NCCL only where each process has a GPU of its own."""
        return "gloo"

    def start(self, environment: Environment, settings: TrainingSettings, training: BatchTraining) -> None:
        """Start all replicas, and connect them with the learner.

        Args:
            environment: the space.
            settings: the settings.
            training: the learner's own gradient steps, which become those of rank 0.

        Raises:
            ValueError: a batch has fewer trajectories than there are processes.
        """
        if settings.batch_size < self.size:
            raise ValueError(
                f"replicas: {self.size} processes cannot share a batch of {settings.batch_size}; use a larger "
                "batch_size, or fewer replicas"
            )
        backend = self.backend(training.device)
        self._training, self._store = training, TeamStore(self._host)
        policy, log_z = on_cpu(training.weights.policy), on_cpu(training.weights.log_z)
        setup = ReplicaSetup(
            environment,
            settings,
            training.objective,
            policy,
            log_z,
            self.size,
            self._store.address,
            backend,
            torch.get_num_threads(),
        )
        with self._closing_on_error():
            self._replicas = [self.launch(rank, setup) for rank in range(1, self.size)]
            for replica in self._replicas:  # all have built their weights
                replica.result()
            self._begin(methodcaller("connect"))
            training.team = self._store.join(self.size, backend, training.device)
            self._finish()

    def call(self, command: Command) -> list[Any]:
        """Let every replica carry out a request, and return their results.

        Args:
            command: the request.

        Raises:
            ReplicaLost: a replica has died.
        """
        with self._closing_on_error():
            self._begin(command)
            return self._finish()

    def step(self, batch: Batch, reward: Mapping[str, Tensor] | None) -> float:
        """Make one gradient step on a batch together, and return the mean loss of its fresh trajectories.

        Args:
            batch: the whole batch.
            reward: the weights of a live reward.

        Raises:
            ReplicaLost: a replica has died.
            ValueError: a loss is not finite.
        """
        assert self._training is not None, "start comes first"
        team = self._training.team
        if team is None:
            raise ReplicaLost("the learner's replicas have been closed; start the training again from its checkpoint")
        with self._closing_on_error():
            for rank, replica in enumerate(self._replicas, 1):
                part = batch.part(team.rows(batch.n, rank)).to("cpu")
                replica.begin(methodcaller("step", part, reward))
            loss = self._training.step(batch.part(team.rows(batch.n)))
            self._finish()
        return loss

    def close(self) -> None:
        """End all replicas."""
        for replica in self._replicas:
            replica.close()
        self._replicas = []
        if self._training is not None:
            self._training.team = None

    def _begin(self, command: Command) -> None:
        for replica in self._replicas:
            replica.begin(command)

    def _finish(self) -> list[Any]:
        return [replica.result() for replica in self._replicas]

    @contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """End all replicas if anything goes wrong, and raise the cause: that of the first that died, if any did."""
        try:
            yield
        except ReplicaLost:
            self.close()
            raise
        except BaseException as error:
            lost = None
            if isinstance(error, RuntimeError):  # the connection ends if a process at its other end does
                lost = next((cause for replica in self._replicas if (cause := _cause(replica)) is not None), None)
            self.close()
            if lost is not None:
                raise lost from error
            raise


def _cause(replica: Replica) -> ReplicaLost | None:
    """Return the error of a replica that has died; None: it lives, or has failed for want of another one."""
    try:
        replica.result(_DEATH_S)
    except ReplicaLost as lost:
        return lost
    except Exception:
        return None
    return None
