"""Oracle workers as Ray actors."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from al_loop.actors.cluster import slots
from al_loop.actors.cluster.placement import options_of
from al_loop.actors.cluster.roles import RoleActor, kill_actor
from al_loop.actors.local import LocalWorker
from al_loop.campaign.executor import CallTimeout, MemoryExceeded, OracleWorker, WorkerLost
from al_loop.config import CampaignConfig
from al_loop.errors import summary
from al_loop.oracles.base import Call, Outcome

#: beyond the oracle's own time: the start of its process (up to 120 s), and the network
_GRACE_S = 150.0


class OracleActor(RoleActor):
    """An oracle's place in the cluster; the oracle itself runs in a process below the actor.

    So the limits of time and memory apply, and the oracle's whole process tree is killed, as on one machine.

    Args:
        config: The campaign's configuration.
        path: The driver's import path.
        number: The worker's number.
    """

    role = "oracle"

    def __init__(self, config: CampaignConfig, path: list[str], number: int) -> None:
        super().__init__(config, path)
        self._label += f" {number}"
        self._worker = LocalWorker(config, number)

    def ready(self) -> None:
        self._worker.start()

    def evaluate(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        """Yield the outcome of each object, see ``OracleWorker.call``."""
        yield from self._worker.call(objects, timeout_s, call)


class RayWorker(OracleWorker):
    """An oracle actor, which is started again after it has died or was killed.

    Args:
        config: The campaign's configuration.
        number: The worker's number.
        oracle_slots: Decides when there may be an actor.
    """

    def __init__(self, config: CampaignConfig, number: int, oracle_slots: slots.OracleSlots) -> None:
        self.name = f"ray-{number}"
        self._number = number
        self._config, self._slots = config, oracle_slots
        self._actor: Any = None
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
            deadline = time.monotonic() + timeout_s + _GRACE_S
            for _ in objects:
                if not ray.wait([stream], timeout=max(deadline - time.monotonic(), 0))[0]:
                    raise CallTimeout
                outcome = ray.get(next(stream))
                assert isinstance(outcome, Outcome)
                yield outcome
            is_actor_usable = True
        except RayTaskError as error:
            failure = _worker_failure(error)
            if failure is None:  # an error in the actor itself
                raise WorkerLost(summary(error)) from error
            is_actor_usable = True  # it has killed the oracle's process, and can start another
            raise failure from error
        except (RayError, StopIteration) as error:
            raise WorkerLost(summary(error)) from error
        finally:
            if not is_actor_usable:
                self._kill_and_release()
            self.is_busy = False

    def kill(self) -> None:
        actor, self._actor = self._actor, None
        kill_actor(actor)

    def _kill_and_release(self) -> None:
        self.kill()
        self._slots.release(self)

    def close(self) -> None:
        self.closed.set()
        self._kill_and_release()


def _worker_failure(error: RayTaskError) -> CallTimeout | WorkerLost | MemoryExceeded | None:
    """Return the failure that the worker below the actor has raised; None where the actor raised another error."""
    cause: Any = error
    while isinstance(cause, RayTaskError):
        cause = cause.cause
    return cause if isinstance(cause, CallTimeout | MemoryExceeded | WorkerLost) else None
