"""The connection of this process to a Ray cluster."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import ray
from ray._private import ray_constants
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


def connect(address: str, **local_settings: Any) -> None:
    """Join a Ray cluster, or start one on this machine.

    Ray replaces the process's SIGTERM handler; the previous one is put back.

    Args:
        address: ``auto`` joins the running cluster, or starts one if there is none; ``HOST:6379`` and
            ``ray://HOST:10001`` join that cluster; ``local`` always starts one.
        local_settings: settings of ``ray.init`` for a cluster that is started here.

    Raises:
        ConfigError: The cluster cannot be reached, or refuses the token.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "include_dashboard": False, **local_settings}
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    try:
        if address == "auto":
            try:
                ray.init(address="auto", log_to_driver=False)
            except ConnectionError:
                _start(settings)
        elif address == "local":
            _start(settings)
        else:
            use_token()  # Ray itself looks for a token for address="auto" only
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        if is_refused_token(error):
            raise ConfigError(f"--address: {token_advice(address, find_token())}") from None
        advice = "" if address in ("auto", "local") or find_token() else f"; if it asks for a token, {REMEDY}"
        raise ConfigError(f"cannot reach a Ray cluster at {address!r}: {summary(error)}{advice}") from None
    finally:
        with suppress(ValueError, TypeError):  # outside the main thread, or the handler is not a Python function
            signal.signal(signal.SIGTERM, sigterm_handler)


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
