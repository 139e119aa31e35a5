"""Files and folders that nobody else can read or have written, and the owners whose code is trusted."""

from __future__ import annotations

import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from al_loop.errors import ConfigError

#: the environment variable with the users, beside root and the present one, whose code may be imported
TRUST: Final = "AL_LOOP_TRUST"


def make_private_folder(path: Path) -> None:
    """Make a folder that only the present user can enter, unless it is there; its parents have the usual mode.

    Args:
        path: the folder; one that is there stays as it is, whoever owns it.

    Raises:
        OSError: it cannot be made.
    """
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def own_folder(path: Path) -> Path:
    """Return a folder in a place that others can write to, such as ``/tmp``, which is made if it is not there.

    Args:
        path: the folder.

    Raises:
        OSError: it cannot be made, is a link, or belongs to somebody else.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{path} is not a folder, but a link or a file that somebody has put there")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to {user_name(found.st_uid)}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def open_own(path: Path, flags: int, owners: frozenset[int] = frozenset()) -> int:
    """Open a file that is believed, if nobody else can have written it.

    Args:
        path: the file; no link is followed.
        flags: as of ``os.open``.
        owners: further users who may own it, by number.

    Returns:
        The number of the open file.

    Raises:
        OSError: it cannot be opened, is no plain file, has several names, or belongs to somebody else.
    """
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{path} is no plain file")
        if found.st_uid not in {os.geteuid(), *owners}:
            raise PermissionError(f"{path} belongs to {user_name(found.st_uid)}")
        if found.st_nlink > 1:
            raise PermissionError(f"{path} has another name as well, so that somebody else may have written it")
    except BaseException:
        os.close(number)
        raise
    return number


def user_name(uid: int) -> str:
    """Return the name of a user, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def require_trusted(folder: Path) -> None:
    """Raise ConfigError if a run directory from which code is going to be imported belongs to somebody else.

    Args:
        folder: the run directory.
    """
    trusted = {name.strip() for name in os.environ.get(TRUST, "").split(",")}
    for path in (folder, folder / "campaign.json", folder / "ledger.db"):
        try:
            uid = path.stat().st_uid
        except OSError:
            continue
        name = user_name(uid)
        if uid not in (0, os.geteuid()) and not {name, str(uid)} & trusted:
            raise ConfigError(
                f"{path}: belongs to {name}, and this command would import code that it names; if you trust that user "
                f"with your files, set {TRUST}={name if name.isalnum() else uid}"
            )
