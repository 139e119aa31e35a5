"""Replicas of a learner in processes of this machine."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch.distributed import is_nccl_available

from al_loop.errors import ReplicaLost
from al_loop.gflownet.replicas import Command, Replica, Replicas, ReplicaSetup, ReplicaWorker
from al_loop.gflownet.team import Backend
from al_loop.system.isolated_spawn import isolated_spawn


class LocalReplicas(Replicas):
    """Replicas in processes of this machine, each on the next GPU if the learner is on one.

    Args:
        size: number of processes, the learner included.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)

    def launch(self, rank: int, setup: ReplicaSetup) -> Replica:
        device = torch.device(setup.training.device)
        if device.type == "cuda":
            device = torch.device("cuda", ((device.index or 0) + rank) % torch.cuda.device_count())
        return _LocalReplica(rank, replace(setup, training=replace(setup.training, device=str(device))))

    def backend(self, device: torch.device) -> Backend:
        has_gpus = device.type == "cuda" and torch.cuda.device_count() >= self.size and is_nccl_available()
        return "nccl" if has_gpus else "gloo"


class _LocalReplica(Replica):
    def __init__(self, rank: int, setup: ReplicaSetup) -> None:
        self._rank = rank
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        with isolated_spawn():
            self._process = context.Process(
                target=_serve,
                args=(theirs, rank, pickle.dumps(setup), list(sys.path)),
                daemon=True,
                name=f"learner-{rank}",
            )
            self._process.start()
        theirs.close()

    def begin(self, command: Command) -> None:
        try:
            self._connection.send_bytes(pickle.dumps(command))
        except OSError:
            raise self._lost() from None

    def result(self, timeout_s: float | None = None) -> Any:
        try:
            if not self._connection.poll(timeout_s):
                return None
            value, error = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            raise self._lost() from None
        if error is not None:
            raise error
        return value

    def _lost(self) -> ReplicaLost:
        self._process.join(timeout=5)
        code = self._process.exitcode
        how = "" if code is None else f" (exit code {code})"
        if code is not None and code < 0:
            how = f" (killed by {signal.Signals(-code).name})"
        return ReplicaLost(
            f"process {self._rank} of the learner died{how}, so that the training cannot go on; is there enough memory "
            "for resources.learner.replicas? The same command resumes from the last checkpoint"
        )

    def close(self) -> None:
        self._connection.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(timeout=5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(connection: Connection, rank: int, setup: bytes, path: list[str]) -> None:
    """Carry out the learner's requests until it closes the connection, dies, or one of them fails.

    Everything is pickled by hand, since ``multiprocessing`` would let both processes share the memory of tensors.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the learner decides when to end
    sys.path[:] = path
    with suppress(EOFError, OSError):
        try:
            worker = ReplicaWorker(rank, pickle.loads(setup))
            connection.send_bytes(pickle.dumps((None, None)))
            while True:
                command: Command = pickle.loads(connection.recv_bytes())
                connection.send_bytes(pickle.dumps((command(worker), None)))
        except (EOFError, OSError):
            raise
        except Exception as error:
            connection.send_bytes(pickle.dumps((None, error)))
