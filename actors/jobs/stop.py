"""Stop a campaign or a sweep that runs on this machine, from another process, as cleanly as Ctrl-C does."""

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
    """Stop what runs in a run directory; where that is one campaign of a sweep, the others go on.

    Args:
        run_dir: The directory of ``al-loop run`` or ``al-loop sweep``, or of one campaign of a sweep.
        wait: Whether to wait until the process has released the directory.

    Returns:
        The id of the process that was stopped, or None where nothing ran.

    Raises:
        ConfigError: This is not a run directory, or the campaign runs on another machine.
        CampaignError: The process cannot be signalled.
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
        match = re.fullmatch(r"pid (\d+) on (.+)", holder)
        if not match:
            raise CampaignError(f"{run_dir} is locked, but its lock does not say by whom ({holder!r}); end it by hand")
        pid, host = int(match[1]), match[2]
        if host != platform.node():
            raise ConfigError(f"{run_dir} runs on {host} (pid {pid}), not here; stop it there")
        _terminate(pid, run_dir / "lock")
        while wait and _holder(lock) == holder:
            time.sleep(_POLL_S)
    return pid


def _holder(lock: IO[str]) -> str | None:
    """Return the text that the process holding a lock file has written into it, or None where none holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        return lock.read().strip()
    fcntl.flock(lock, fcntl.LOCK_UN)
    return None


def _terminate(pid: int, lock: Path) -> None:
    """Send SIGTERM to the process that has the lock open, never to a later process of the same id."""
    try:
        is_holder = any(Path(file.path) == lock.resolve() for file in psutil.Process(pid).open_files())
        if is_holder:
            os.kill(pid, signal.SIGTERM)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return  # it has just ended
    except (psutil.AccessDenied, PermissionError):
        raise CampaignError(f"the process {pid}, which holds {lock}, belongs to another user") from None
    if not is_holder:
        raise CampaignError(
            f"{lock} is held, but not by the process {pid} that it names; does it run in a container? Stop it there"
        )
