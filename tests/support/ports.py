"""Free ports for servers started by tests."""

import socket


def free_port() -> int:
    """Return a port that is free at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
