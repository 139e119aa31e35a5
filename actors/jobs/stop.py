"""Stop a campaign or a sweep that runs on this machine, from another process, as cleanly as Ctrl-C does."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from al_loop.errors import CampaignError, ConfigError
from al_loop.system.stopping import FINISH_SIGNAL

_POLL_S = 0.2
_AGAIN_S = 30.0  # after which a process that has not ended gets the signal again, which stops faster
_EXIT_S = 10.0  # that a process may take to end after it has released the directory; a notebook's never ends


def stop_here(
    run_dir: Path,
    *,
    wait: bool = True,
    finish_calls: bool = False,
    on_wait: Callable[[str], None] = lambda message: None,
) -> int | None:
    """Stop what runs in a run directory; where that is one campaign of a sweep, the others go on.

    Args:
        run_dir: The directory of ``al-loop run`` or ``al-loop sweep``, or of one campaign of a sweep.
        wait: Whether to wait until the process has ended; it gets the signal again every 30 s.
        finish_calls: Whether the calls of the oracle that run may finish first; the signal is not repeated then.
        on_wait: Called with a message every 30 s.

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
        number = FINISH_SIGNAL if finish_calls else signal.SIGTERM
        process = _send(number, pid, run_dir / "lock")
        began = sent = time.monotonic()
        while wait and process is not None and _holder(lock) == holder:
            if time.monotonic() - sent >= _AGAIN_S:
                sent = time.monotonic()
                waited = f"{run_dir} (pid {pid}) has not stopped after {sent - began:.0f} s"
                if finish_calls:
                    on_wait(f"{waited}: calls of the oracle are running; to stop without them: al-loop stop {run_dir}")
                else:
                    process = _send(number, pid, run_dir / "lock")
                    on_wait(f"{waited}: the signal was sent again, which stops faster")
            time.sleep(_POLL_S)
        if wait and process is not None:
            _await_exit(process)
    return pid


def _await_exit(process: psutil.Process) -> None:
    """Wait a while for the end of a process that has released its directory."""
    ends = time.monotonic() + _EXIT_S
    with suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < ends:
            time.sleep(_POLL_S)


def _holder(lock: IO[str]) -> str | None:
    """Return the text that the process holding a lock file has written into it, or None where none holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        return lock.read().strip()
    fcntl.flock(lock, fcntl.LOCK_UN)
    return None


def _send(number: signal.Signals, pid: int, lock: Path) -> psutil.Process | None:
    """Signal the process that has the lock open, never a later one of the same id; return None if it has ended."""
    try:
        process = psutil.Process(pid)
        is_holder = any(Path(file.path) == lock.resolve() for file in process.open_files())
        if is_holder:
            os.kill(pid, number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except (psutil.AccessDenied, PermissionError):
        raise CampaignError(f"the process {pid}, which holds {lock}, belongs to another user") from None
    if not is_holder:
        raise CampaignError(
            f"{lock} is held, but not by the process {pid} that it names; does it run in a container? Stop it there"
        )
    return process
