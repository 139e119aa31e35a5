"""What a sink is, and how a campaign tells many of them without ever waiting for one."""

from __future__ import annotations

import importlib
import math
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from al_loop.campaign.reporter import RoundSummary
from al_loop.errors import ConfigError

Status = Literal["finished", "stopped", "failed"]

_LONGEST_REASON = 200  # characters of an error that a note shows


class Sink(ABC):
    """Receives the numbers of one campaign; called from one thread at a time, in the order in which things happened.

    What a method raises is told to the user once, and the campaign goes on.
    """

    def check(self) -> None:  # noqa: B027  a sink that needs nothing has nothing to check
        """Raises ConfigError where something that the sink needs is missing; called before the campaign starts."""

    @abstractmethod
    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        """A campaign starts or goes on; called again after a while where it raises.

        name: the campaign's.
        run: the same for all starts of one campaign, and no other campaign's.
        config: what the campaign does, as plain JSON values.
        """

    @abstractmethod
    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Finite numbers by name.

        step: the round's number; of a metric ``series/name`` (``train/loss``) the step within that series.
        """

    def note(self, message: str) -> None:  # noqa: B027  a sink of numbers alone needs no notes
        """Something the user should know, in one line."""

    def end(self, status: Status) -> None:  # noqa: B027
        """The campaign is over, was stopped and may go on, or failed."""


class Sinks:
    """Tells everything to many sinks, each from a thread of its own: one that fails or hangs hinders nobody.

    Args:
        sinks: who is told.
        on_note: told once of each sink that fails, and once of each that is too slow; called from other threads.
        capacity: calls that may wait for a slow sink; then the oldest are dropped.
        patience_s: how long ``end`` waits for all of them together, in seconds.
        retry_s: the time after which a ``begin`` that failed is tried again, doubled up to 64-fold.

    Raises:
        ConfigError: something that a sink needs is missing.
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
                raise ConfigError(f"sinks: {type(sink).__name__} is no al_loop.sinks.Sink; derive it from that class")
            sink.check()
        self._sinks = tuple(sinks)
        self._patience_s = patience_s
        self._on_note, self._capacity, self._retry_s = on_note, capacity, retry_s
        self._lines: list[_Line] = []

    def begin(self, name: str, run: str, config: Mapping[str, Any]) -> None:
        """A campaign starts or goes on, see ``Sink.begin``; what is told before it is dropped."""
        self.end("stopped")
        self._lines = [
            _Line(sink, partial(sink.begin, name, run, config), self._on_note, self._capacity, self._retry_s)
            for sink in self._sinks
        ]

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Numbers by name, see ``Sink.log``; those that are not finite are left out."""
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        for line in self._lines if finite else ():
            line.put(lambda sink: sink.log(step, dict(finite)))

    def note(self, message: str) -> None:
        """Something the user should know."""
        for line in self._lines:
            line.put(lambda sink: sink.note(message))

    def end(self, status: Status) -> None:
        """Tells them that it is over, and waits a few seconds for what they have not taken yet."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.close(lambda sink: sink.end(status))
        deadline = time.monotonic() + self._patience_s
        for line in lines:
            line.wait(deadline - time.monotonic())


class _Line:
    """The calls that wait for one sink, and the thread that makes them."""

    def __init__(
        self, sink: Sink, begin: Callable[[], None], on_note: Callable[[str], None], capacity: int, retry_s: float
    ) -> None:
        self._sink, self._begin, self._on_note = sink, begin, on_note
        self._name = getattr(sink, "kind", type(sink).__name__)
        self._capacity, self._retry_s, self._most_retry_s = capacity, retry_s, 64 * retry_s
        self._calls: deque[Callable[[Sink], None]] = deque()
        self._changed = threading.Condition()
        self._has_begun = self._is_closed = False
        self._has_told_failure = self._has_told_drop = False
        self._thread = threading.Thread(target=self._work, name=f"sink {self._name}", daemon=True)
        self._thread.start()

    def put(self, call: Callable[[Sink], None]) -> None:
        with self._changed:
            is_full = len(self._calls) >= self._capacity
            if is_full:
                self._calls.popleft()
            self._calls.append(call)
            self._changed.notify()
        if is_full and not self._has_told_drop:
            self._has_told_drop = True
            self._on_note(f"sink {self._name} is too slow: its oldest records are dropped; the ledger keeps everything")

    def close(self, last: Callable[[Sink], None]) -> None:
        """Makes one last call."""
        with self._changed:
            self._calls.append(last)
            self._is_closed = True
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Until everything is told, or given up."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            with self._changed:
                self._calls.clear()
                self._has_told_failure = True  # nobody listens any more
            self._on_note(f"sink {self._name} did not end in time: its last records may be lost, the ledger has them")

    def _work(self) -> None:
        while True:
            if not self._has_begun:
                self._has_begun = self._try(self._begin)
                if not self._has_begun:
                    if self._rest():
                        return
                    continue
            with self._changed:
                self._changed.wait_for(lambda: self._calls or self._is_closed)
                if not self._calls:
                    return
                call = self._calls.popleft()
            self._try(partial(call, self._sink))

    def _rest(self) -> bool:
        """Waits until ``begin`` is to be tried again; whether it is over instead."""
        with self._changed:
            is_over = self._changed.wait_for(lambda: self._is_closed, timeout=self._retry_s)
        self._retry_s = min(2 * self._retry_s, self._most_retry_s)
        return is_over

    def _try(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except (Exception, SystemExit) as error:  # whatever a sink raises must not end the campaign
            if not self._has_told_failure:
                self._has_told_failure = True
                self._on_note(f"sink {self._name} fails ({_reason(error)}); the campaign goes on without it")
            return False
        return True


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def round_metrics(summary: RoundSummary) -> dict[str, float]:
    """The numbers of a round by the names that sinks know them by; what a round has not is left out.

    ``best`` and its like are in the oracle's unit, ``seconds_<phase>`` in seconds.
    """
    names = ("calls", "failures", "best", "top10_mean", "diversity", "new_scaffolds", "rank_correlation", "coverage")
    found = {name: getattr(summary, name) for name in (*names, "hypervolume", "front")}
    found |= {f"seconds_{phase.replace(' ', '_')}": value for phase, value in summary.seconds.items()}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def library(module: str, extra: str) -> Any:
    """An optional library's module.

    Raises:
        ConfigError: it is not installed, with what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"sink {extra} needs {module}: pip install 'al-loop[{extra}]' ({error})") from error
