"""Number of oracle actors, limited so that idle ones never take the search's place in the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayTaskError

from al_loop.actors.cluster.placement import oracle_places
from al_loop.actors.cluster.roles import unwrap_ray_error
from al_loop.config import CampaignConfig
from al_loop.system import stopping

_POLL_S = 1.0
_LOOK_S = 0.2  # time between two looks for a request to stop
#: how long the search, or a call of an oracle, may get nowhere, before idle oracle actors make room
STARVED_S = 20.0


class SlotHolder(Protocol):
    """An oracle worker that may have an actor.

    Attributes:
        is_busy: Whether a call is running.
        closed: Set when the worker must not start anything any more.
    """

    is_busy: bool
    closed: threading.Event

    def kill(self) -> None:
        """Kill the worker's actor."""


class OracleSlots:
    """The oracle actors that there are, and whether there may be more.

    Once the learner and a sampler have been placed, any number of oracle actors may wait for a place in Ray, where an
    autoscaler sees them. Before, and while the search gets nowhere, there are no more than fit beside the search, and
    idle ones make room.

    Args:
        config: The campaign's configuration.
        on_note: Called once if no oracle actor fits beside the search.
    """

    def __init__(self, config: CampaignConfig, on_note: Callable[[str], None]) -> None:
        self._config, self._on_note = config, on_note
        self._lock = threading.Lock()
        self._holders: list[SlotHolder] = []
        self._is_open = self._has_noted = False

    def open_after(self, ready: Any) -> None:
        """Let all oracle actors wait in Ray once the search has been placed.

        Args:
            ready: A reference to a result of the search's first method.
        """

        def open_if_placed(future: Any) -> None:
            if not future.cancelled() and future.exception() is None:
                self._is_open = True

        ready.future().add_done_callback(open_if_placed)

    def take(self, worker: SlotHolder) -> bool:
        """Wait until a worker may have an actor.

        Args:
            worker: The worker.

        Returns:
            False where the worker was closed before.
        """
        while not worker.closed.is_set():
            if self._try_to_take(worker):
                return True
            worker.closed.wait(_POLL_S)
        return False

    def _try_to_take(self, worker: SlotHolder) -> bool:
        with self._lock:
            if not self._is_open:
                n_places, idle = oracle_places(self._config), self._idle()
                n_over = max(len(self._holders) + 1 - n_places, 0)
                if n_over and (not worker.is_busy or len(idle) < n_over):
                    if not n_places and not self._has_noted:
                        self._has_noted = True
                        self._on_note(
                            "the cluster has no place for an oracle actor beside the search; oracles wait for one"
                        )
                    return False
                self._kill(idle[:n_over])
            self._holders.append(worker)
            return True

    def _idle(self) -> list[SlotHolder]:
        return [holder for holder in self._holders if not holder.is_busy]

    def _kill(self, idle: Sequence[SlotHolder]) -> None:
        for holder in idle:
            holder.kill()
            self._holders.remove(holder)

    def replace_idle(self) -> None:
        """Kill an idle oracle actor, because another one, which has a call to make, waits in vain for a place."""
        with self._lock:
            self._kill(self._idle()[:1])

    def begin_call(self, worker: SlotHolder) -> None:
        """Let a worker keep its actor until its call has ended.

        Args:
            worker: The worker.
        """
        with self._lock:
            worker.is_busy = True

    def release(self, worker: SlotHolder) -> None:
        """Record that a worker has no actor any more.

        Args:
            worker: The worker.
        """
        with self._lock:
            if worker in self._holders:
                self._holders.remove(worker)

    def _make_room(self) -> None:
        """Kill idle oracle actors, down to as many as fit beside the search."""
        with self._lock:
            self._is_open = False
            n_over = len(self._holders) - oracle_places(self._config)
            self._kill(self._idle()[: max(n_over, 0)])

    def get(self, references: Any) -> Any:
        """Wait for the results of actors of the search, making room for them while they wait for a place.

        Args:
            references: A reference, or a list of references.

        Returns:
            The result, or a list of results.

        Raises:
            AlLoopError: An actor raised it; other errors of an actor come as Ray's, with the traceback.
        """
        all_references = references if isinstance(references, list) else [references]
        while not _are_ready(all_references):
            self._make_room()
        try:
            return ray.get(references)
        except RayTaskError as error:
            raise unwrap_ray_error(error) from None

    def iterate(self, stream: Any) -> Iterator[Any]:
        """Yield the items of a stream of an actor of the search, making room for it while it gets nowhere.

        Args:
            stream: The generator of references.
        """
        while True:
            while not _are_ready([stream]):
                self._make_room()
            try:
                reference = next(stream)
            except StopIteration:
                return
            item = self.get(reference)
            self._is_open = True
            yield item


def _are_ready(references: Sequence[Any]) -> bool:
    """Wait for all of some references for up to ``STARVED_S``, and return whether they are ready."""
    ends = time.monotonic() + STARVED_S
    n_ready = 0
    while n_ready < len(references) and time.monotonic() < ends:
        stopping.look()  # a wait of Ray in the main thread hears no signal
        n_ready = len(ray.wait(list(references), num_returns=len(references), timeout=_LOOK_S)[0])
    return n_ready == len(references)
