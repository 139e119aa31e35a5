"""Oracle workers as Ray actors."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from al_loop.actors.cluster import slots
from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import RoleActor, kill_actor
from al_loop.actors.local import LocalWorker
from al_loop.campaign.executor import CallEnded, CallTimeout, OracleWorker, WorkerLost
from al_loop.config import CampaignConfig
from al_loop.errors import summary
from al_loop.oracles.base import Call, Outcome
from al_loop.storage.bounded_log import BoundedLog
from al_loop.system.private_files import own_folder

#: beyond the oracle's own time: the start of its process (up to 120 s), and the network
_GRACE_S = 150.0
_MAX_OUTPUT = 250_000  # bytes that travel with an answer
_OUTPUT_WAIT_S = 10.0


class OracleActor(RoleActor):
    """An oracle's place in the cluster; the oracle itself runs in a process below the actor.

    So the limits of time and memory apply, and the oracle's whole process tree is killed, as on one machine. What it
    prints goes to a file on the actor's machine, and from there to the driver with its answers.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
        number: The worker's number.
    """

    role = "oracle"

    def __init__(self, config: CampaignConfig, path: list[str], number: int) -> None:
        super().__init__(config, path)
        self._label += f" {number}"
        folder = _log_folder()
        self._worker = LocalWorker(config, number, folder)
        self._log = BoundedLog(folder / f"oracle-{number}.log")
        self._position = 0

    def ready(self) -> None:
        self._worker.start()

    def evaluate(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[tuple[Outcome, bytes]]:
        """Yield the outcome of each object, and what was printed meanwhile; see ``OracleWorker.call``."""
        for outcome in self._worker.call(objects, timeout_s, call):
            yield outcome, self.output()

    def output(self) -> bytes:
        """Return what was printed since the last time."""
        start, self._position = self._position, self._log.size
        return self._log.since(start, _MAX_OUTPUT) if self._position != start else b""


def _log_folder() -> Path:
    """Make this process's folder for logs, and remove those of processes that have ended."""
    root = own_folder(Path(tempfile.gettempdir()) / f"al-loop-{os.getuid()}")
    (folder := root / str(os.getpid())).mkdir(mode=0o700, exist_ok=True)
    for other in root.iterdir():
        if other.name.isdigit() and not psutil.pid_exists(int(other.name)):
            shutil.rmtree(other, ignore_errors=True)
    return folder


class RayWorker(OracleWorker):
    """An oracle actor, which is started again after it has died or was killed.

    Args:
        config: The campaign's configuration.
        number: The worker's number.
        oracle_slots: Decides when there may be an actor.
        logs: The folder of the file that the oracle's output goes to; None: it stays on the actor's machine.
    """

    def __init__(
        self, config: CampaignConfig, number: int, oracle_slots: slots.OracleSlots, logs: Path | None = None
    ) -> None:
        self.name = f"ray-{number}"
        self._number = number
        self._config, self._slots = config, oracle_slots
        self._log = None if logs is None else BoundedLog(logs / f"oracle-{number}.log")
        self._actor: Any = None
        self._is_built = False  # whether the actor has answered before
        self.is_busy = False
        self.closed = threading.Event()

    def start(self) -> None:
        with suppress(RayError, WorkerLost):
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Start the actor if there is none, and wait for it; the wait for a free place is not the oracle's time."""
        if self._actor is None and self._slots.take(self):
            options = options_of(self._config.resources.oracle)
            actor = ray.remote(OracleActor).options(scheduling_strategy="SPREAD", **options)
            self._actor = actor.remote(self._config, list(sys.path), self._number)
            if self.closed.is_set():  # meanwhile
                self._kill_and_release()
        actor = self._actor
        if actor is None:
            raise WorkerLost("it was closed")
        ready = actor.ready.remote()
        while self.is_busy and not ray.wait([ready], timeout=slots.STARVED_S)[0]:
            self._slots.replace_idle()
        try:
            ray.get(ready)
        except RayError:
            self._kill_and_release()
            raise

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        if self.closed.is_set():
            raise WorkerLost("it was closed")
        is_actor_usable = False
        self._slots.begin_call(self)
        try:
            try:
                self._wait_until_ready()
            except RayActorError:  # it had died while it was idle, which is not this call's fault
                self._wait_until_ready()
            stream = self._actor.evaluate.options(num_returns="streaming").remote(list(objects), timeout_s, call)
            # the actor enforces the limits itself; this deadline is for a node that does not answer at all
            build_s = 0.0 if self._is_built else self._config.evaluation.build_timeout_s
            deadline = time.monotonic() + build_s + timeout_s + _GRACE_S
            for _ in objects:
                if not ray.wait([stream], timeout=max(deadline - time.monotonic(), 0))[0]:
                    raise CallTimeout
                outcome, output = ray.get(next(stream))
                assert isinstance(outcome, Outcome)
                self._is_built = True
                self._keep(output)
                yield outcome
            is_actor_usable = True
        except RayTaskError as error:
            failure = _worker_failure(error)
            if failure is None:  # an error in the actor itself
                raise WorkerLost(summary(error)) from error
            is_actor_usable = True  # it has killed the oracle's process, and can start another
            self._keep_output()
            raise failure from error
        except (RayError, StopIteration) as error:
            raise WorkerLost(summary(error)) from error
        finally:
            if not is_actor_usable:
                self._kill_and_release()
            self.is_busy = False

    def _keep_output(self) -> None:
        """Fetch what the oracle's process printed before it ended."""
        with suppress(RayError):
            self._keep(ray.get(self._actor.output.remote(), timeout=_OUTPUT_WAIT_S))

    def _keep(self, output: bytes) -> None:
        if output and self._log is not None:
            self._log.append(output)

    def kill(self) -> None:
        actor, self._actor, self._is_built = self._actor, None, False
        kill_actor(actor)

    def _kill_and_release(self) -> None:
        self.kill()
        self._slots.release(self)

    def close(self) -> None:
        self.closed.set()
        self._kill_and_release()


def _worker_failure(error: RayTaskError) -> CallEnded | None:
    """Return the failure that the worker below the actor has raised; None where the actor raised another error."""
    cause: Any = error
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return cause if isinstance(cause, CallEnded) else None
