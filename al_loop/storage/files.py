"""Writing files as a whole and never over others, retrying a write, locking a folder. Needs no other package."""

from __future__ import annotations

import fcntl
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from al_loop.errors import CampaignError, ConfigError, summary
from al_loop.system import stopping


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it exists with its whole content or not at all, even after a power cut.

    Args:
        path: the file; an existing one is replaced.
        content: the new content.

    Raises:
        OSError: the folder is missing, read-only or full; an existing file is unchanged.
    """
    temporary = path.with_name(path.name + ".part")
    if temporary.is_symlink():  # whoever put it there would have us write to another file
        temporary.unlink()
    with open(temporary, "wb", opener=no_link) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    keep_name(path)


def no_link(path: str, flags: int) -> int:
    """Open a file, but none through a link that somebody may have put there: an ``opener`` for ``open``.

    Args:
        path: the file.
        flags: as of ``os.open``.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def keep_name(path: Path) -> None:
    """Force the name of a new or renamed file to the disk: ``fsync`` of the file alone keeps its content only.

    Args:
        path: the file.
    """
    with suppress(OSError):  # some file systems do not know it, and nothing is lost but in a power cut
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def require_free(path: str | Path, *, force: bool = False) -> None:
    """Raise ConfigError if a file is there already, which must not be replaced unless the user insists.

    Args:
        path: the file; ``-`` is standard output.
        force: whether an existing file may be replaced.

    Raises:
        ConfigError: the file exists, or it is a folder.
    """
    path = Path(path)
    if str(path) == "-" or _is_stream(path):
        return
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")
    if not force and (path.exists() or path.is_symlink()):
        raise ConfigError(f"{path} already exists; choose another name, or pass --force to replace it")


def require_writable(
    path: str | Path, *, force: bool = False, what: str = "", inputs: Iterable[str | Path] = ()
) -> None:
    """Raise ConfigError unless a file can be written at a path, before the work whose result it is to hold.

    Args:
        path: the file, which ``write_whole`` will write.
        force: whether an existing file may be replaced.
        what: its name before the path in the message, with a space.
        inputs: the files that the command reads, none of which may be replaced.

    Raises:
        ConfigError: the file exists, or is an input, a folder, a pipe or a device; or its folder does not exist or is
            read-only.
    """
    path = Path(path)
    if str(path) == "-" or _is_stream(path):
        raise ConfigError(f"cannot write {what}to {path}: this is not a file; name one with -o")
    require_output(path, force=force, what=what, inputs=inputs)


def require_output(path: str | Path, *, force: bool = False, what: str = "", inputs: Iterable[str | Path] = ()) -> None:
    """Raise ConfigError unless ``write_output`` can write to a path, before the work whose result it is to hold.

    Args:
        path: the file; ``-`` is standard output.
        force: whether an existing file may be replaced.
        what: its name before the path in the message, with a space.
        inputs: the files that the command reads, none of which may be replaced.

    Raises:
        ConfigError: the file exists, or is an input or a folder; or its folder does not exist or is read-only.
    """
    path = Path(path)
    if str(path) == "-" or _is_stream(path):
        return
    if any(path.exists() and Path(one).exists() and path.samefile(one) for one in inputs):
        raise ConfigError(f"cannot write {what}to {path}: the command reads this file; choose another with -o")
    require_free(path, force=force)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {what}{path}: its folder does not exist; choose another with -o")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"cannot write {what}{path}: its folder is read-only; choose another with -o")


def write_output(path: str | Path, content: bytes, *, force: bool = False) -> None:
    """Write what a user asked for, whole or not at all.

    Args:
        path: the file; ``-`` is standard output. A pipe or a device is written to, never replaced.
        content: its content.
        force: whether an existing file may be replaced.

    Raises:
        ConfigError: the file exists and may not be replaced, or it cannot be written.
    """
    path = Path(path)
    if str(path) == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    require_free(path, force=force)
    try:
        if _is_stream(path):
            with path.open("wb") as stream:
                stream.write(content)
            return
        path = path.resolve()  # a link stays a link
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
                if force:
                    temporary.replace(path)
                else:
                    _rename_to_new(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
    except FileExistsError:
        require_free(path)
        raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror or error})") from None


def _is_stream(path: Path) -> bool:
    """Return whether a path is a pipe, a device or a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Give a file its name, unless another file has it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        require_free(path)
        temporary.replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def open_lock(path: Path) -> IO[str]:
    """Open a lock file for ``acquire_lock``, which is made if it is not there.

    Args:
        path: the file; no link is followed, since the file is written to.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    return open(path, "a+", encoding="utf-8", opener=no_link)


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
                    f"cannot write {target} ({reason}); what the ledger has recorded stays recorded; fix the cause and "
                    "run the same command again"
                ) from error
            if not has_reported:
                on_wait(f"cannot write {target} at present ({reason}); retrying")
                has_reported = True
            stopping.pause(min(1.0, patience_s))
