"""Requests to stop, which every loop and wait of a campaign looks at.

A signal handler must not raise: where Python happens to run a destructor or a callback of the garbage collector, the
exception would vanish, and the signal with it. So handlers only make a request, and ``look`` raises ``Stopped`` in the
campaign's own code. Requires only the standard library.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import Any, Final

POLL_S: Final = 0.1  # longest time between two looks during a wait
_JOIN_S, _URGENT_JOIN_S = 10.0, 1.0  # longest wait for threads at the end
_SILENT_S: Final = 1.5  # a stop that takes longer than this is announced

#: levels of a request: stop after the calls of the oracle that run; stop; stop without waiting; leave at once
FINISH_CALLS, STOP, URGENT, LEAVE = 1, 2, 3, 4
#: the signal that asks to let the calls of the oracle that run finish first
FINISH_SIGNAL: Final = signal.SIGUSR1
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, FINISH_SIGNAL)


class Stopped(KeyboardInterrupt):
    """Raised by ``look`` where a stop was requested; it passes ``except Exception`` as Ctrl-C does.

    Args:
        signal_number: the signal that requested it; None if it was not a signal.

    Attributes:
        answers: what became of the answers that had arrived, in words; empty where that was not looked into.
    """

    def __init__(self, signal_number: int | None = None) -> None:
        super().__init__("stopped")
        self.signal_number = signal_number
        self.answers = ""


class StopRequest:
    """A request to stop, which any thread and any signal handler may make. It only ever becomes more urgent.

    Attributes:
        level: 0, ``FINISH_CALLS``, ``STOP``, ``URGENT`` or ``LEAVE``.
        signal_number: the first signal that made it; None if there was none.
        is_heeded: whether ``look`` has raised ``Stopped`` because of it.
    """

    def __init__(self) -> None:
        # plain attributes: a signal may interrupt the very code that holds a lock
        self.level = 0
        self.signal_number: int | None = None
        self.is_heeded = False

    def make(self, signal_number: int | None = None, *, finish_calls: bool = False) -> None:
        """Request a stop; each further request is more urgent.

        Args:
            signal_number: the signal that requests it.
            finish_calls: whether the calls of the oracle that run may finish first.
        """
        if self.signal_number is None:
            self.signal_number = signal_number
        if finish_calls:
            self.level = max(self.level, FINISH_CALLS)
        else:
            self.level = min(max(self.level + 1, STOP), LEAVE)

    @property
    def is_made(self) -> bool:
        """Whether a stop was requested."""
        return self.level > 0

    @property
    def is_urgent(self) -> bool:
        """Whether it was requested again, so that nothing may be waited for."""
        return self.level >= URGENT

    def look(self) -> None:
        """Raise ``Stopped`` if a stop was requested."""
        if self.level:
            self.is_heeded = True
            raise Stopped(self.signal_number)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Let the function ``look`` heed this request in the present thread and context."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[StopRequest | None] = ContextVar("al_loop_stop_request", default=None)


def current_request() -> StopRequest | None:
    """Return the request that ``look`` heeds here."""
    return _current.get()


def look() -> None:
    """Raise ``Stopped`` if a stop was requested; outside a campaign, do nothing."""
    request = _current.get()
    if request is not None and request.level:
        request.look()


def pause(seconds: float) -> None:
    """Sleep, but raise ``Stopped`` within 0.1 s of a request.

    Args:
        seconds: how long to sleep.
    """
    wait_for(lambda: False, seconds)


def wait_for(is_over: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Wait until a condition holds, but raise ``Stopped`` within ``poll_s`` of a request.

    Args:
        is_over: the condition, which is called repeatedly.
        timeout_s: how long to wait at most, in seconds.
        poll_s: time between two calls, in seconds.

    Returns:
        Whether the condition holds.
    """
    ends = time.monotonic() + timeout_s
    while True:
        look()
        if is_over():
            return True
        left_s = ends - time.monotonic()
        if left_s <= 0:
            return False
        time.sleep(min(poll_s, left_s))


def join_all(threads: Sequence[threading.Thread], request: StopRequest) -> None:
    """Wait for threads to end: all together for up to 10 s, or for 1 s once the stop is urgent.

    Args:
        threads: the threads; those that do not end in time are given up.
        request: the request to stop.
    """
    ends = time.monotonic() + _JOIN_S
    for thread in threads:
        while thread.is_alive() and time.monotonic() < ends:
            thread.join(POLL_S)
            if request.is_urgent:
                ends = min(ends, time.monotonic() + _URGENT_JOIN_S)


# -- signals -----------------------------------------------------------------------------------------------------------


def let_ctrl_c_kill() -> None:
    """Let Ctrl-C end this process at once while it only starts: in an import, KeyboardInterrupt may vanish."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def let_ctrl_c_interrupt() -> None:
    """Undo ``let_ctrl_c_kill``."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stop_on_signals(announce: Callable[[str], None] | None = None) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM, SIGHUP and SIGUSR1 into requests to stop, which ``look`` heeds.

    A second signal stops faster: it interrupts what does not look, and nothing is waited for any more. A signal that is
    ignored, such as Ctrl-C in a background job or SIGHUP under ``nohup``, stays ignored. Outside the main thread no
    signal is handled: the program around it handles its own.

    Args:
        announce: receives a message, in another thread, when a stop takes longer than a moment.

    Yields:
        The request that they make.
    """
    request = StopRequest()
    with request.in_force():
        if threading.current_thread() is not threading.main_thread():
            yield request
            return
        with _handling(request, STOP_SIGNALS, announce):
            yield request


@contextmanager
def stop_on_unhandled_signals(request: StopRequest) -> Iterator[None]:
    """Turn the signals that nobody handles into requests to stop, as Ctrl-C in a script or in a notebook.

    Args:
        request: the request that they make, which ``look`` heeds meanwhile.
    """
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in STOP_SIGNALS if signal.getsignal(number) in defaults] if is_main else []
    with request.in_force():
        if not numbers:
            yield
            return
        with _handling(request, numbers, None):
            yield


@contextmanager
def _handling(
    request: StopRequest, numbers: Sequence[signal.Signals], announce: Callable[[str], None] | None
) -> Iterator[None]:
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)

    def handle(number: int, frame: FrameType | None) -> None:
        request.make(number, finish_calls=number == FINISH_SIGNAL)
        with suppress(OSError):
            os.write(wake_write, bytes([number]))
        if request.level >= (LEAVE if request.is_heeded else URGENT):
            raise Stopped(request.signal_number)  # if this vanishes, the next look raises it again

    watcher = threading.Thread(target=_announce_slow_stop, args=(wake_read, announce), name="stop", daemon=True)
    watcher.start()
    usual: dict[int, Any] = {}
    try:
        for number in numbers:
            if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN):
                usual[number] = handler
                signal.signal(number, handle)
        yield
    finally:
        for usual_number, handler in usual.items():
            signal.signal(usual_number, handler)
        os.close(wake_write)  # ends the watcher


def _announce_slow_stop(wake_read: int, announce: Callable[[str], None] | None) -> None:
    """Announce the first stop that a signal has requested, unless the signals are handled no more soon after."""
    import select

    with os.fdopen(wake_read, "rb", buffering=0) as pipe:
        first = pipe.read(1)
        if not first or announce is None or pipe in select.select([pipe], [], [], _SILENT_S)[0]:
            return
        name = signal.Signals(first[0]).name
        if first[0] == FINISH_SIGNAL:
            announce(f"{name}: stopping once the calls that run have finished; Ctrl-C stops without them")
        else:
            announce(f"{name}: stopping after the current step; a second Ctrl-C or SIGTERM stops faster")
