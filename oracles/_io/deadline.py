"""A limit to the time of all requests of a session, however slowly an answer arrives."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from requests import Session


class Deadline:
    """Shuts down all connections of a session at a given time, unless it is left before.

    The timeouts of sockets do not help against a service that sends a byte now and then: each byte starts them again.

    Args:
        session: the session.
        at: the time, by ``time.monotonic``.

    Attributes:
        is_over: whether the connections were shut down.
    """

    def __init__(self, session: Session, at: float) -> None:
        from requests.adapters import HTTPAdapter

        self.is_over = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(max(at - time.monotonic(), 0.0), self._end)
        self._timer.daemon = True
        remember = self._remember

        class Adapter(HTTPAdapter):
            """An adapter whose connections are known."""

            def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
                pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
                pool.ConnectionCls = _remembered(type(pool).ConnectionCls, remember)
                return pool

        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter())

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _remember(self, connection: socket.socket) -> None:
        self._sockets.append(connection)

    def _end(self) -> None:
        self.is_over = True
        for connection in self._sockets:
            # of a duplicate, since the thread that reads may be inside the TLS layer of the original
            with suppress(OSError, ValueError), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
                duplicate.shutdown(socket.SHUT_RDWR)


def _remembered(kind: type[Any], remember: Callable[[socket.socket], None]) -> type[Any]:
    """Return a class of connections that passes on each socket that it opens."""

    class Connection(kind):  # type: ignore[misc]
        """A connection whose socket is known."""

        def connect(self) -> None:
            super().connect()
            if self.sock is not None:
                remember(self.sock)

    return Connection
