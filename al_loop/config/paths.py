"""Relative paths in a config, which are relative to its folder and not to the working directory."""

from __future__ import annotations

import os
from pathlib import Path

_HERE = "{here}"


def located(text: str, folder: Path, *, may_be_name: bool = False) -> str:
    """Return a path of a config as a path for this process, whose working directory may be another one.

    A path in the working directory stays relative, so that the processes of a job on other machines find it, too.

    Args:
        text: the path, a URL, or a name that is no path, as written.
        folder: the config's folder.
        may_be_name: whether a text without a folder and an extension may be a name rather than a path.

    Returns:
        The path below the config's folder; the text itself if it is absolute, a URL or a name without a file beside
        the config, or if the file is only in the working directory, where earlier versions looked.
    """
    scheme, url, rest = text.partition(":///")
    if url and scheme.startswith("sqlite") and rest and not rest.startswith(("/", ":memory:")):
        return f"{scheme}:///{located(rest, folder)}"
    path = Path(text).expanduser()
    if not text or "://" in text or path.is_absolute() or folder == Path.cwd():
        return text
    beside = folder / path
    is_name = may_be_name and not path.suffix and len(path.parts) == 1
    if not beside.exists() and (path.exists() or is_name):
        return text
    return _from_working_directory(beside)


def with_folder(text: str, folder: Path) -> str:
    """Return a text in which ``{here}`` is the config's folder, seen from the working directory.

    Args:
        text: a text with or without ``{here}``.
        folder: the config's folder.
    """
    if _HERE not in text or folder == Path.cwd():
        return text
    place = _from_working_directory(folder)
    return text.replace(_HERE, place if Path(place).is_absolute() else f"{_HERE}/{place}")


def _from_working_directory(path: Path) -> str:
    whole = os.path.normpath(path.absolute())
    inside = os.path.relpath(whole)
    return whole if inside.split(os.sep, 1)[0] == os.pardir else inside
