"""Attribution of exceptions: to the object, or to something that the oracle needs."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Final, Literal

from al_loop.errors import ConfigError

ErrorKind = Literal["environment", "unavailable", "permanent"]

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNREACHABLE: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
#: exceptions of HTTP libraries for a server that cannot be reached, by module and name; they need not be installed
_NO_CONNECTION: Final = {
    ("requests.exceptions", "ConnectionError"),
    ("httpx", "ConnectError"),
    ("httpx", "ConnectTimeout"),
    ("urllib3.exceptions", "NewConnectionError"),
    ("aiohttp.client_exceptions", "ClientConnectorError"),
}


def kind_of_error(error: BaseException) -> ErrorKind:
    """Return whose failure an exception is.

    Returns:
        ``environment``: something is missing without which no object can be measured, such as a module, or the disk is
        full. ``unavailable``: a service cannot be reached. ``permanent``: any other.
    """
    for cause in _with_causes(error):
        if isinstance(cause, ImportError | ConfigError):
            return "environment"
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return "environment"
        if _is_unreachable(cause):
            return "unavailable"
    return "permanent"


def _is_unreachable(error: BaseException) -> bool:
    if isinstance(error, ConnectionRefusedError | socket.gaierror):
        return True
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return True
    return any((c.__module__, c.__name__) in _NO_CONNECTION for c in type(error).__mro__)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it was raised from, and the reason of a ``URLError``, if that is an exception."""
    seen: set[int] = set()
    current: object = error
    while isinstance(current, BaseException) and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or getattr(current, "reason", None)
