"""Writing a file as a whole, retrying a write, and locking a folder. Requires only the standard library."""

from __future__ import annotations

import fcntl
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from al_loop.errors import CampaignError, ConfigError, summary
from al_loop.system import stopping


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it exists with its whole content or not at all, even after a crash.

    Args:
        path: the file; an existing one is replaced.
        content: the new content.

    Raises:
        OSError: the folder is missing, read-only or full; an existing file is unchanged.
    """
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def acquire_lock(lock: IO[str], owner: str) -> None:
    """Lock a folder through a file in it, and write this process's id there; closing the file releases the lock.

    Args:
        lock: the lock file, opened with ``"a+"``.
        owner: a description of the process for the error message, such as ``the campaign in runs/1``.

    Raises:
        ConfigError: another process holds the lock.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise ConfigError(f"{owner} is running already ({holder}); stop it first") from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()} on {platform.node()}")
    lock.flush()


def retry_write(
    write: Callable[[], None], target: object, patience_s: float, on_wait: Callable[[str], None] = lambda message: None
) -> None:
    """Call ``write`` until it succeeds.

    Args:
        write: performs the write; any exception counts as a failed attempt.
        target: the file or location, for messages.
        patience_s: how long to retry, in seconds; 0 means one attempt.
        on_wait: receives one message when the first attempt has failed.

    Raises:
        CampaignError: no attempt succeeded within ``patience_s``.
    """
    began, has_reported = time.monotonic(), False
    while True:
        try:
            write()
            return
        except Exception as error:  # each kind of storage raises its own errors
            reason = summary(getattr(error, "strerror", None) or error)
            if time.monotonic() - began >= patience_s:
                raise CampaignError(
                    f"cannot write {target} ({reason}); every measured value is safe in the ledger; fix the cause and "
                    "run the same command again"
                ) from error
            if not has_reported:
                on_wait(f"cannot write {target} at present ({reason}); retrying")
                has_reported = True
            stopping.pause(min(1.0, patience_s))
