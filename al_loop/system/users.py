"""The person at the keyboard, as the ledger names people."""

from __future__ import annotations

import getpass
import socket


def current_user() -> str:
    """Return ``user@machine``, by which the ledger identifies people."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # a container may have no name for its user
        return socket.gethostname()
