"""The longest time of a single call of a database, so that a server that is silent is never waited for in vain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from al_loop.system import stopping

LONGEST_CALL_S: Final = 60.0  # after which a call is made again, on another connection
LEAST_CALL_S: Final = 2.0  # however little time is left
_LOCK_CALL_S: Final = 1.0  # SQLite waits for a lock inside a call, which hears no signal


class CallLimit:
    """The longest time of a call: what is left of the patience of a step, and little once a stop was requested.

    Args:
        patience_s: how long a step with its retries may take, in seconds.
    """

    def __init__(self, patience_s: float) -> None:
        self._longest_s = min(max(patience_s, LEAST_CALL_S), LONGEST_CALL_S)
        self._step = threading.local()
        self._is_hurried = False

    @property
    def longest_s(self) -> float:
        """Longest time of any call, in seconds."""
        return self._longest_s

    @property
    def lock_s(self) -> float:
        """Longest wait of a call for the lock of a SQLite file, in seconds."""
        return min(self._longest_s, _LOCK_CALL_S)

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Let the calls of this thread end at a time.

        Args:
            deadline: the time, by ``time.monotonic``.
        """
        self._step.deadline = deadline
        try:
            yield
        finally:
            self._step.deadline = None

    def hurry(self) -> None:
        """Give up running and later calls after a moment."""
        self._is_hurried = True

    def is_over(self, began: float) -> bool:
        """Return whether a call has taken too long.

        Args:
            began: when it began, by ``time.monotonic``.
        """
        now = time.monotonic()
        request = stopping.current_request()
        if now - began < LEAST_CALL_S:
            return False
        if self._is_hurried or (request is not None and request.is_made):
            return True
        deadline = getattr(self._step, "deadline", None)
        return now - began >= self._longest_s or (deadline is not None and now >= deadline)
