"""A connection to PostgreSQL whose calls end in time. Requires psycopg."""

from __future__ import annotations

import select
import time
from typing import Any

import psycopg

from al_loop.ledger.call_limits import CallLimit
from al_loop.system import stopping

_READ, _WRITE = 1, 2  # what psycopg's generators wait for, and are told
_BAD = select.POLLERR | select.POLLHUP | select.POLLNVAL


def limited(limit: CallLimit) -> type[psycopg.Connection[Any]]:
    """Return a class of connections.

    Args:
        limit: the longest time of a call.
    """

    class LimitedConnection(psycopg.Connection[Any]):
        """A connection that is closed when the server does not answer in time.

        The timeouts of the server and of TCP do not help where a server is stopped: its machine still acknowledges.
        """

        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return _wait(gen, self.pgconn.socket, limit)
            except (TimeoutError, KeyboardInterrupt) as error:
                self.pgconn.finish()
                if isinstance(error, KeyboardInterrupt):
                    raise
                stopping.look()
                raise psycopg.OperationalError(str(error)) from None

    return LimitedConnection


def _wait(generator: Any, fileno: int, limit: CallLimit) -> Any:
    """Run a generator of psycopg that waits for a socket, and return its result.

    Raises:
        TimeoutError: it took too long.
    """
    began, poll = time.monotonic(), select.poll()
    try:
        wanted = next(generator)
        while True:
            poll.register(fileno, (select.POLLIN if wanted & _READ else 0) | (select.POLLOUT if wanted & _WRITE else 0))
            events = poll.poll(round(1000 * stopping.POLL_S))
            if not events:
                if limit.is_over(began):
                    raise TimeoutError(f"connection given up: no answer for {time.monotonic() - began:.0f} s")
                continue
            event = events[0][1]
            if event & select.POLLNVAL:
                raise psycopg.OperationalError("the connection is closed")
            is_bad = bool(event & _BAD)  # whoever waits learns the reason from the next call
            ready = (_READ if event & select.POLLIN or is_bad else 0) | (_WRITE if event & select.POLLOUT else 0)
            wanted = generator.send(ready)
    except StopIteration as done:
        return done.value
