"""Errors in a user's code: one sentence, the place, and the traceback without al-loop's own frames."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from traceback import FrameSummary, TracebackException

_MAX_MESSAGE = 500  # characters of an error's own message
#: the packages whose frames come before those of the user's code
_PACKAGE = Path(__file__).parents[1]


def shorten(text: str, max_length: int) -> str:
    """Return a text of at most about ``max_length`` characters: its beginning and its end, which matters more."""
    if len(text) <= max_length:
        return text
    head = max_length // 4
    left_out = len(text) - max_length
    return f"{text[:head]}\n... {left_out:,} characters left out ...\n{text[-(max_length - head) :]}"


def describe_error(error: BaseException) -> str:
    """Return the type and message of an error in one line, such as ``NameError: name 'x' is not defined``."""
    message = " ".join(_message(error).split())
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:_MAX_MESSAGE]}... ({len(message):,} characters)"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def describe_with_place(error: BaseException) -> str:
    """Return ``describe_error`` with the innermost line of the user's own code, such as ``(mine.py, line 3)``."""
    frame = None if isinstance(error, SyntaxError) else _place(error)  # a syntax error names its place itself
    place = "" if frame is None else f" ({Path(frame.filename).name}, line {frame.lineno})"
    return describe_error(error) + place


def error_details(error: BaseException) -> dict[str, object]:
    """Return type, message, file, line and traceback of an error, for the ``info`` of an answer.

    File and line are those of the innermost line of the user's own code; they are missing if there is none.
    """
    details: dict[str, object] = {"type": type(error).__name__, "message": shorten(_message(error), _MAX_MESSAGE)}
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        details |= {"file": error.filename, "line": error.lineno}
    elif (frame := _place(error)) is not None:
        details |= {"file": frame.filename, "line": frame.lineno}
    return details | {"traceback": user_traceback(error)}


def error_place(info: Mapping[str, object]) -> str:
    """Return the place of the error in an answer's ``info``, such as ``mine.py, line 3``; empty if there is none."""
    error = info.get("error")
    if not isinstance(error, dict) or "file" not in error:
        return ""
    return f"{Path(str(error['file'])).name}, line {error.get('line')}"


def user_traceback(error: BaseException, *, max_length: int = 20_000) -> str:
    """Return the traceback of an error from the first frame outside al-loop on, its causes included.

    An error that arose in al-loop itself keeps all its frames.

    Args:
        error: the error, as it was caught.
        max_length: maximum number of characters; the middle of a longer text is left out.
    """
    try:
        details = TracebackException.from_exception(error, compact=True)
        _strip(details, set())
        text = "".join(details.format())
        for message in _long_messages(error):  # or a text without end would hide the lines of the code
            text = text.replace(message, shorten(message, _MAX_MESSAGE))
    except Exception as failure:  # an error whose attributes raise errors
        text = f"{type(error).__name__} (no traceback: {type(failure).__name__})\n"
    return shorten(text, max_length).rstrip("\n")


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"its message cannot be shown: {type(failure).__name__}"


def _long_messages(error: BaseException) -> list[str]:
    """Return the messages of an error and its causes that are too long to show."""
    errors: list[BaseException] = [error]
    for each in errors:
        causes = (each.__cause__, each.__context__, *getattr(each, "exceptions", ()))
        errors += [cause for cause in causes if cause is not None and cause not in errors]
    return [message for message in map(_message, errors) if len(message) > _MAX_MESSAGE]


def _strip(details: TracebackException, seen: set[int]) -> None:
    """Remove the frames of al-loop, and of Python's import, that come before the user's own."""
    if id(details) in seen:
        return
    seen.add(id(details))
    frames = list(details.stack)
    first = next((i for i, frame in enumerate(frames) if not (_is_ours(frame) or _is_import(frame))), None)
    if first is not None:
        details.stack[:] = frames[first:]
    elif not any(_is_ours(frame) for frame in frames[-1:]):
        details.stack.clear()  # an import that failed before it reached a line of the user's
    others: Sequence[TracebackException] = getattr(details, "exceptions", None) or ()
    for other in (details.__cause__, details.__context__, *others):
        if other is not None:
            _strip(other, seen)


def _place(error: BaseException) -> FrameSummary | None:
    try:
        frames = traceback.extract_tb(error.__traceback__)
    except Exception:
        return None
    return next((f for f in reversed(frames) if not (_is_ours(f) or _is_import(f) or _is_library(f.filename))), None)


def _is_ours(frame: FrameSummary) -> bool:
    return any(frame.filename.startswith(folder) for folder in _own_folders())


def _is_import(frame: FrameSummary) -> bool:
    return frame.filename.startswith("<frozen ") or frame.filename == sys.modules["importlib"].__file__


@lru_cache(maxsize=256)
def _is_library(filename: str) -> bool:
    return any(filename.startswith(folder) for folder in _library_folders())


@lru_cache(maxsize=1)
def _own_folders() -> tuple[str, ...]:
    """Return the folders of al-loop's code; ``oracles`` and ``actors`` may be links to folders elsewhere."""
    folders = [_PACKAGE, _PACKAGE.resolve(), *((_PACKAGE / name).resolve() for name in ("oracles", "actors"))]
    return tuple(f"{folder}/" for folder in folders)


@lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = [Path(sysconfig.get_path(name)) for name in names]
    return tuple(f"{folder}/" for path in paths for folder in (path, path.resolve()))
