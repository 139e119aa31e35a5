"""Ends a campaign or a sweep that runs on this machine as cleanly as Ctrl-C does, from another process."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import signal
import time
from pathlib import Path
from typing import IO

import psutil

from al_loop.errors import CampaignError, ConfigError

_POLL_S = 0.2


def stop_here(run_dir: Path, *, wait: bool = True) -> int | None:
    """Ends what runs in a run directory; of a sweep's campaigns the others go on.

    Args:
        run_dir: of ``al-loop run`` or ``al-loop sweep``, or that of one campaign of a sweep.
        wait: until it has let go of the directory.

    Returns:
        The process that was told to stop; None: nothing ran.

    Raises:
        ConfigError: this is no run directory, or the campaign runs on another machine.
        CampaignError: the process cannot be told.
    """
    try:
        lock = (run_dir / "lock").open("r+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{run_dir} is not the directory of a run (its file 'lock' cannot be opened: {error.strerror}); for a job "
            "of a cluster add --address http://HEAD:8265"
        ) from None
    with lock:
        holder = _holder(lock)
        if holder is None:
            return None
        found = re.fullmatch(r"pid (\d+) on (.+)", holder)
        if not found:
            raise CampaignError(f"the lock of {run_dir} is held, but does not say by whom ({holder!r}); end it by hand")
        pid, host = int(found[1]), found[2]
        if host != platform.node():
            raise ConfigError(f"{run_dir} runs on {host} (pid {pid}), not here; stop it there")
        _tell(pid, run_dir / "lock")
        while wait and _holder(lock) == holder:
            time.sleep(_POLL_S)
    return pid


def _holder(lock: IO[str]) -> str | None:
    """What is written in a lock file by the process that holds it; None: no process does."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        return lock.read().strip()
    fcntl.flock(lock, fcntl.LOCK_UN)
    return None


def _tell(pid: int, lock: Path) -> None:
    """Sends SIGTERM to the process that has the lock open, never to one that got its number since."""
    try:
        is_it = any(Path(file.path) == lock.resolve() for file in psutil.Process(pid).open_files())
        if is_it:
            os.kill(pid, signal.SIGTERM)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return  # it has just ended
    except (psutil.AccessDenied, PermissionError):
        raise CampaignError(f"the process {pid}, which holds {lock}, belongs to another user") from None
    if not is_it:
        raise CampaignError(
            f"{lock} is held, but not by the process {pid} that it names; does it run in a container? Stop it there"
        )
