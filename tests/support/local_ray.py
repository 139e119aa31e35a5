"""Start of a Ray on this machine, also while other tests start theirs."""

from __future__ import annotations

import time
from typing import Any

from al_loop.actors.cluster_token import read_mode

_TRIES = 4


def start_ray(**options: Any) -> None:
    """Start a Ray of this process's own.

    Several Rays that start at once on a busy machine may miss Ray's own time limits or ports; then try again.

    Args:
        options: of ``ray.init``; by default 4 CPUs, without dashboard and without logs in this process.
    """
    import ray

    defaults = {"num_cpus": 4, "include_dashboard": False, "log_to_driver": False, "configure_logging": False}
    read_mode()  # an earlier test may have had another one
    for attempt in range(_TRIES):
        try:
            ray.init(address="local", **{**defaults, **options})
        except Exception:
            ray.shutdown()
            if attempt == _TRIES - 1:
                raise
            time.sleep(3.0 * (attempt + 1))
        else:
            return
