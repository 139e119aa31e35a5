"""Fixtures that tests of several oracles share."""

import pytest

from tests.support.http_server import Server


@pytest.fixture
def no_surroundings(monkeypatch, tmp_path):
    """No proxy, no home directory, and pauses that cost no time."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setattr("al_loop.oracles._io.http_client._PAUSE_S", 0.001)


@pytest.fixture
def serve(no_surroundings):
    """``serve(answer)`` starts a server, see ``Server``."""
    servers = []

    def start(answer, **options):
        servers.append(Server(answer, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
