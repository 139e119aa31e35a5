"""Oracles as Ray actors, which leave the search its place."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from al_loop.actors.cluster.placement import options_of, oracle_places
from al_loop.actors.cluster.roles import RoleActor, kill_actor, unwrap_ray_error
from al_loop.actors.local import LocalWorker
from al_loop.campaign.executor import CallTimeout, MemoryExceeded, OracleWorker, WorkerLost
from al_loop.config import CampaignConfig
from al_loop.errors import summary
from al_loop.oracles.base import Call, Outcome

#: beyond the oracle's own time: the start of its process (at most 120 s where that is more), and the network
_GRACE_S = 150.0
_LOOK_S = 1.0
_STARVED_S = 20.0  # that the search, or a call of an oracle, gets nowhere, before oracle actors without work make room


class OracleActor(RoleActor):
    """Holds an oracle's place in the cluster; the oracle runs in a process below it.

    So its limits hold, and its whole process tree ends, as on one machine.
    """

    role = "oracle"

    def __init__(self, config: CampaignConfig, path: list[str], number: int) -> None:
        super().__init__(config, path)
        self._label += f" {number}"
        self._worker = LocalWorker(config, number)

    def ready(self) -> None:
        self._worker.start()

    def evaluate(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        yield from self._worker.call(objects, timeout_s, call)


class OraclePlaces:
    """Which oracle actors there may be, so that those without work never keep the search from its place.

    Once the learner and a sampler are there oracle actors may wait for a place in Ray, where an autoscaler sees them.
    Before, and when the search gets nowhere, there are no more than fit beside the search, and those without work make
    room.

    Args:
        config: of the campaign.
        on_note: told once where the oracle has no place at all.
    """

    def __init__(self, config: CampaignConfig, on_note: Callable[[str], None]) -> None:
        self._config, self._on_note = config, on_note
        self._lock = threading.Lock()
        self._holders: list[RayWorker] = []
        self._is_open = self._is_told = False

    def open_after(self, ready: Any) -> None:
        """Lets all oracle actors wait in Ray once the search is there. ready: returns then."""

        def look(future: Any) -> None:
            if not future.cancelled() and future.exception() is None:
                self._is_open = True

        ready.future().add_done_callback(look)

    def take(self, worker: RayWorker) -> bool:
        """Waits until a worker may have an actor; False where it was closed before."""
        while not worker.is_closed:
            if self._try(worker):
                return True
            worker.closed.wait(_LOOK_S)
        return False

    def _try(self, worker: RayWorker) -> bool:
        with self._lock:
            if not self._is_open:
                room, idle = oracle_places(self._config), self._idle()
                n_over = max(len(self._holders) + 1 - room, 0)
                if n_over and (not worker.is_busy or len(idle) < n_over):
                    if not room and not self._is_told:
                        self._is_told = True
                        self._on_note(
                            "the cluster has no place for an oracle actor beside the search; it waits for one"
                        )
                    return False
                self._end(idle[:n_over])
            self._holders.append(worker)
            return True

    def _idle(self) -> list[RayWorker]:
        return [holder for holder in self._holders if not holder.is_busy]

    def _end(self, idle: Sequence[RayWorker]) -> None:
        for holder in idle:
            holder.give_up()
            self._holders.remove(holder)

    def replace_idle(self) -> None:
        """Ends an oracle actor without work: another one, which has some, waits in vain for a place."""
        with self._lock:
            self._end(self._idle()[:1])

    def begin_call(self, worker: RayWorker) -> None:
        """A worker keeps the actor that it has until its call is over."""
        with self._lock:
            worker.is_busy = True

    def leave(self, worker: RayWorker) -> None:
        """A worker has no actor any more."""
        with self._lock:
            if worker in self._holders:
                self._holders.remove(worker)

    def _make_room(self) -> None:
        """Ends oracle actors without work, down to those that fit beside the search."""
        with self._lock:
            self._is_open = False
            n_over = len(self._holders) - oracle_places(self._config)
            self._end(self._idle()[: max(n_over, 0)])

    def get(self, wanted: Any) -> Any:
        """What actors of the search return (of a reference, or of several), which may have to wait for their place."""
        refs = wanted if isinstance(wanted, list) else [wanted]
        while len(ray.wait(refs, num_returns=len(refs), timeout=_STARVED_S)[0]) < len(refs):
            self._make_room()
        try:
            return ray.get(wanted)
        except RayTaskError as error:
            raise unwrap_ray_error(error) from None

    def all_of(self, stream: Any) -> Iterator[Any]:
        """All that an actor of the search yields."""
        while True:
            while not ray.wait([stream], timeout=_STARVED_S)[0]:
                self._make_room()
            try:
                ref = next(stream)
            except StopIteration:
                return
            item = self.get(ref)
            self._is_open = True
            yield item


class RayWorker(OracleWorker):
    """An oracle actor that is started again after it died or was ended."""

    def __init__(self, config: CampaignConfig, number: int, places: OraclePlaces) -> None:
        self.name = f"ray-{number}"
        self._number = number
        self._config, self._places = config, places
        self._actor: Any = None
        self.is_busy = False  # with a call
        self.closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether it must not start anything any more."""
        return self.closed.is_set()

    def start(self) -> None:
        with suppress(RayError, WorkerLost):
            self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Starts the actor where there is none; it may wait for a free place, which is not the oracle's time."""
        if self._actor is None and self._places.take(self):
            options = options_of(self._config.resources.oracle)
            actor = ray.remote(OracleActor).options(scheduling_strategy="SPREAD", **options)
            self._actor = actor.remote(self._config, list(sys.path), self._number)
            if self.is_closed:  # in between
                self._kill()
        actor = self._actor
        if actor is None:
            raise WorkerLost("it was closed")
        ready = actor.ready.remote()
        while self.is_busy and not ray.wait([ready], timeout=_STARVED_S)[0]:
            self._places.replace_idle()
        try:
            ray.get(ready)
        except RayError:
            self._kill()
            raise

    def call(self, objects: Sequence[str], timeout_s: float, call: Call) -> Iterator[Outcome]:
        if self.is_closed:
            raise WorkerLost("it was closed")
        is_over = False
        self._places.begin_call(self)
        try:
            try:
                self._wait_until_ready()
            except RayActorError:  # while it had nothing to do, which is no matter of this call
                self._wait_until_ready()
            stream = self._actor.evaluate.options(num_returns="streaming").remote(list(objects), timeout_s, call)
            # the actor itself sees to the limits; a node that no longer answers at all is given up a while later
            ends = time.monotonic() + timeout_s + _GRACE_S
            for _ in objects:
                if not ray.wait([stream], timeout=max(ends - time.monotonic(), 0))[0]:
                    raise CallTimeout
                outcome = ray.get(next(stream))
                assert isinstance(outcome, Outcome)
                yield outcome
            is_over = True
        except CallTimeout as error:
            is_over = isinstance(error, RayTaskError)  # the actor has ended the process below it, and is there
            raise CallTimeout from error
        except (WorkerLost, MemoryExceeded) as error:
            is_over = True
            kind = MemoryExceeded if isinstance(error, MemoryExceeded) else WorkerLost
            raise kind(str(getattr(error, "cause", error))) from error
        except (RayError, StopIteration) as error:
            raise WorkerLost(summary(error)) from error
        finally:
            if not is_over:
                self._kill()
            self.is_busy = False

    def give_up(self) -> None:
        """Ends the actor."""
        actor, self._actor = self._actor, None
        kill_actor(actor)

    def _kill(self) -> None:
        self.give_up()
        self._places.leave(self)

    def close(self) -> None:
        self.closed.set()
        self._kill()
