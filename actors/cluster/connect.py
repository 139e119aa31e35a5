"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import ray_constants, services
from ray.exceptions import RayError

from al_loop.actors.cluster_token import (
    REMEDY,
    find_token,
    is_refused_token,
    make_token,
    token_advice,
    use_token,
)
from al_loop.errors import ConfigError, summary

_ANSWERS_S = 10.0  # longest wait for a connection; Ray itself tries an address for many minutes


def connect(address: str, **local_settings: Any) -> None:
    """Join a Ray cluster, or start one on this machine.

    Ray replaces the process's SIGTERM handler; the previous one is put back.

    Args:
        address: ``auto`` joins the running cluster, or starts one if there is none; ``HOST:6379`` and
            ``ray://HOST:10001`` join that cluster; ``local`` always starts one.
        local_settings: settings of ``ray.init`` for a cluster that is started here.

    Raises:
        ConfigError: The address is malformed, or the cluster cannot be reached or refuses the token.
    """
    if address not in ("auto", "local"):
        _check(address, "--address")
    is_started_here = address == "local" or (address == "auto" and not _is_running())
    settings: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False, **local_settings}
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    try:
        if is_started_here:
            _start(settings)
        else:
            if address != "auto":  # for which Ray itself looks for a token
                use_token()
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        if is_refused_token(error):
            raise ConfigError(f"--address: {token_advice(address, find_token())}") from None
        advice = "" if address in ("auto", "local") or find_token() else f"; if it asks for a token, {REMEDY}"
        raise ConfigError(f"cannot reach a Ray cluster at {address!r}: {summary(error)}{advice}") from None
    finally:
        with suppress(ValueError, TypeError):  # outside the main thread, or the handler is not a Python function
            signal.signal(signal.SIGTERM, sigterm_handler)


def _is_running() -> bool:
    """Return whether a cluster runs that Ray joins by ``auto``: that of RAY_ADDRESS, or one on this machine.

    A head that was killed leaves its address behind, in a file from which Ray would take it.

    Raises:
        ConfigError: RAY_ADDRESS is malformed, or nothing answers there.
    """
    given = os.environ.get(ray_constants.RAY_ADDRESS_ENVIRONMENT_VARIABLE)
    if given == "local":
        return False
    if given and given != "auto":
        _check(given, ray_constants.RAY_ADDRESS_ENVIRONMENT_VARIABLE)
        return True
    try:
        found = services.canonicalize_bootstrap_address("auto")
    except ConnectionError:
        return False
    return found is not None and _refusal(found) is None


def _check(address: str, name: str) -> None:
    """Check that something answers at the address of a cluster.

    Args:
        address: ``HOST:PORT`` or ``ray://HOST:PORT``.
        name: of the option or variable that has it.

    Raises:
        ConfigError: It is malformed, or nothing answers there.
    """
    scheme, _, place = address.rpartition("://")
    if scheme in ("http", "https"):
        raise ConfigError(
            f"{name}: {address!r} is the address of a job server, which `al-loop submit` takes; this command joins the "
            "cluster itself, at HOST:6379 or auto"
        )
    try:
        if scheme not in ("", "ray"):
            raise ValueError(scheme)
        refusal = _refusal(place if scheme else services.canonicalize_bootstrap_address(place) or place)
    except ValueError:
        raise ConfigError(
            f"{name}: {address!r} is not the address of a Ray cluster, such as HOST:6379 or auto"
        ) from None
    if refusal is not None:
        raise ConfigError(
            f"{name}: no Ray cluster answers at {address!r} ({refusal}); start its head, or correct the address"
        )


def _refusal(place: str) -> str | None:
    """Return why nothing answers at ``HOST:PORT``; None if something does.

    Raises:
        ValueError: It has another form.
    """
    parts = urlsplit(f"//{place}")
    if not parts.hostname or not parts.port:
        raise ValueError(f"{place!r} is not of the form HOST:PORT")
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=_ANSWERS_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _start(settings: dict[str, Any]) -> None:
    """Start a Ray that asks for a token, and that only this machine can reach.

    Ray listens on all interfaces of a Linux machine, and on the loopback interface of others; the variable by which
    others are told to listen on all, ``RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=1``, does so here, too.
    """
    make_token()
    is_told_otherwise = os.environ.get(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0").lower() in ("1", "true")
    usual = ray_constants.ENABLE_RAY_CLUSTER
    try:
        if not is_told_otherwise:
            ray_constants.ENABLE_RAY_CLUSTER = False
        ray.init(address="local", **settings)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual
