"""Distribution of a campaign's metrics to several sinks, without ever waiting for any of them."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from al_loop.errors import ConfigError, summary
from al_loop.outgoing import one_line, redact, redacted
from al_loop.sinks.base import Sink, Status

_MAX_REASON_LENGTH = 200  # characters of an error in a note
_MAX_RETRY_FACTOR = 64  # longest pause between two attempts to begin, as a multiple of the first


class Sinks:
    """A distributor to several sinks, each in its own thread, so that a failing or hanging sink delays nothing.

    Args:
        sinks: the sinks.
        on_note: called once for each sink that fails and once for each that is too slow, from other threads.
        capacity: largest number of calls queued for a slow sink; beyond it, the oldest are dropped.
        patience_s: how long ``end`` waits for all sinks together, in seconds.
        retry_s: pause after which a failed ``begin`` is tried again, in seconds; doubled each time, up to 64-fold.

    Raises:
        ConfigError: a requirement of a sink is missing.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        on_note: Callable[[str], None] = lambda message: None,
        *,
        capacity: int = 1000,
        patience_s: float = 5.0,
        retry_s: float = 1.0,
    ) -> None:
        for sink in sinks:
            if not isinstance(sink, Sink):
                raise ConfigError(
                    f"sinks: {type(sink).__name__} is not a subclass of al_loop.sinks.Sink; derive it from that class"
                )
            sink.check()
        self._sinks = tuple(sinks)
        self._patience_s = patience_s
        self._on_note, self._capacity, self._retry_s = on_note, capacity, retry_s
        self._channels: list[_Channel] = []

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        """Begin in every sink; earlier calls are dropped.

        Args:
            name: the campaign's name.
            run: an identifier that is the same for all starts of one campaign, and different for other campaigns.
            config: the campaign's config, as plain JSON values.
        """
        self.end("stopped")
        self._channels = [
            _Channel(
                sink, partial(sink.begin, name, run, redacted(config)), self._on_note, self._capacity, self._retry_s
            )
            for sink in self._sinks
        ]

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics; non-finite values are omitted.

        Args:
            step: the number of the round, or the step within a series; see ``Sink.log``.
            metrics: numbers by name.
        """
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        for channel in self._channels if finite else ():
            channel.put(lambda sink: sink.log(step, dict(finite)))

    def note(self, message: str) -> None:
        """Record a one-line message to the user."""
        text = one_line(redact(message))
        for channel in self._channels:
            channel.put(lambda sink: sink.note(text))

    def end(self, status: Status) -> None:
        """End in every sink, and wait up to ``patience_s`` for queued calls."""
        channels, self._channels = self._channels, []
        for channel in channels:
            channel.close(lambda sink: sink.end(status))
        deadline = time.monotonic() + self._patience_s
        for channel in channels:
            channel.wait(deadline - time.monotonic())


class _Channel:
    """The queue of calls to one sink, and the thread that makes them.

    Args:
        sink: the sink.
        begin: the first call, which is repeated until it succeeds.
        on_note: called once if the sink fails, and once if it is too slow.
        capacity: largest number of calls in the queue.
        retry_s: pause after the first failed ``begin``, in seconds.
    """

    def __init__(
        self, sink: Sink, begin: Callable[[], None], on_note: Callable[[str], None], capacity: int, retry_s: float
    ) -> None:
        self._sink, self._begin, self._on_note = sink, begin, on_note
        self._name = sink.kind or type(sink).__name__
        self._capacity, self._retry_s, self._max_retry_s = capacity, retry_s, _MAX_RETRY_FACTOR * retry_s
        self._calls: deque[Callable[[Sink], None]] = deque()
        self._changed = threading.Condition()
        self._has_begun = self._is_closed = False
        self._has_reported_failure = self._has_reported_drop = False
        self._thread = threading.Thread(target=self._work, name=f"sink {self._name}", daemon=True)
        self._thread.start()

    def put(self, call: Callable[[Sink], None]) -> None:
        """Append a call to the queue; drop the oldest one if it is full."""
        with self._changed:
            is_full = len(self._calls) >= self._capacity
            if is_full:
                self._calls.popleft()
            self._calls.append(call)
            self._changed.notify()
        if is_full and not self._has_reported_drop:
            self._has_reported_drop = True
            self._on_note(
                f"sink {self._name} is too slow: its oldest records are dropped; the ledger still has everything"
            )

    def close(self, last: Callable[[Sink], None]) -> None:
        """Append a last call to the queue."""
        with self._changed:
            self._calls.append(last)
            self._is_closed = True
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Wait until all calls have been made; drop the remaining ones after a number of seconds."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            with self._changed:
                self._calls.clear()
                self._has_reported_failure = True  # the campaign has ended: further failures are not reported
            self._on_note(f"sink {self._name} did not end in time: its last records may be lost; the ledger has them")

    def _work(self) -> None:
        while True:
            if not self._has_begun:
                self._has_begun = self._try(self._begin)
                if not self._has_begun:
                    if self._pause():
                        return
                    continue
            with self._changed:
                self._changed.wait_for(lambda: self._calls or self._is_closed)
                if not self._calls:
                    return
                call = self._calls.popleft()
            self._try(partial(call, self._sink))

    def _pause(self) -> bool:
        """Wait before ``begin`` is tried again, and return whether the channel was closed meanwhile."""
        with self._changed:
            is_closed = self._changed.wait_for(lambda: self._is_closed, timeout=self._retry_s)
        self._retry_s = min(2 * self._retry_s, self._max_retry_s)
        return is_closed

    def _try(self, call: Callable[[], None]) -> bool:
        """Make a call and return whether it succeeded."""
        try:
            call()
        except (Exception, SystemExit) as error:  # no error of a sink may end the campaign
            if not self._has_reported_failure:
                self._has_reported_failure = True
                self._on_note(f"sink {self._name} fails ({_describe(error)}); the campaign continues without it")
            return False
        return True


def _describe(error: BaseException) -> str:
    kind, message = type(error).__name__, summary(error, max_length=_MAX_REASON_LENGTH)
    return kind if message == kind else f"{kind}: {message}"
