"""Whose failure an exception is."""

import errno
import importlib
import socket
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from al_loop.errors import ConfigError
from al_loop.system.error_kinds import kind_of_error


def raised(function, *arguments) -> BaseException:  # type: ignore[no-untyped-def]
    try:
        function(*arguments)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    "error",
    [
        raised(importlib.import_module, "no_such_module"),
        ConfigError("no token"),
        OSError(errno.ENOSPC, "no space left on device"),
        OSError(errno.EDQUOT, "disk quota exceeded"),
    ],
)
def test_what_every_object_needs_is_the_environment(error: BaseException) -> None:
    assert kind_of_error(error) == "environment"


@pytest.mark.parametrize(
    "error",
    [
        raised(urlopen, "http://127.0.0.1:9/"),
        ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
        URLError(socket.gaierror(-2, "name or service not known")),
        OSError(errno.EHOSTUNREACH, "no route to host"),
    ],
)
def test_a_server_that_cannot_be_reached_is_unavailable(error: BaseException) -> None:
    assert kind_of_error(error) == "unavailable"


def test_connection_errors_of_requests_are_recognised() -> None:
    requests = pytest.importorskip("requests")
    assert kind_of_error(raised(requests.get, "http://127.0.0.1:9/")) == "unavailable"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no charges"),
        KeyError("CCO"),
        raised(Path("/no/such/file").read_bytes),
        BrokenPipeError(errno.EPIPE, "broken pipe"),
        ZeroDivisionError(),
        SystemExit(1),
    ],
)
def test_anything_else_is_the_objects(error: BaseException) -> None:
    assert kind_of_error(error) == "permanent"


def test_the_cause_of_an_exception_counts() -> None:
    error = RuntimeError("docking failed")
    error.__cause__ = ImportError("libvina.so")
    assert kind_of_error(error) == "environment"
