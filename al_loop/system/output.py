"""Standard output and standard error to which writing never fails.

A full disk, a terminal that is gone or a character that an encoding lacks are no reason to end a campaign, or to count
what an oracle prints as its failure. Requires only the standard library.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from al_loop.outgoing import redact, styled

_BLOCKED_S = 1.0  # longest wait for a reader of a pipe that does not block its writers


class _GuardedFile(io.FileIO):
    """A file descriptor whose errors are kept, not raised; but for a broken pipe, if that is asked for.

    Args:
        number: the file descriptor, which is not closed.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self.error: OSError | None = None
        self.raises_broken_pipe = False

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        try:
            n = super().write(view)
            if n is None and select.select([], [self], [], _BLOCKED_S)[1]:
                n = super().write(view)
            return len(view) if n is None else n
        except OSError as error:
            if error.errno == errno.EINTR:
                raise
            self.error = error
            if error.errno == errno.EPIPE and self.raises_broken_pipe:
                raise
            return len(view)


class _CleanStream(io.TextIOWrapper):
    """A stream that shows neither secrets nor control sequences, but for colours and those of a progress display."""

    def write(self, text: str) -> int:
        super().write(styled(redact(text), has_cursor=_is_live[0]))
        return len(text)


_files: dict[str, _GuardedFile] = {}
_is_live = [False]  # whether a progress display moves the cursor


def allow_cursor(is_live: bool) -> None:
    """Choose whether sequences that move the cursor reach the terminal, as a progress display needs them."""
    _is_live[0] = is_live


def guard_output() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` so that no write to them raises; characters are replaced if need be.

    Streams that were replaced already, as by a notebook or a test, are left alone. A standard file descriptor that is
    closed is opened on the null device, so that no other file takes its number.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8")
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _CleanStream(io.BufferedWriter(_GuardedFile(number)), "utf-8", "replace"))
        elif type(stream) is io.TextIOWrapper and name not in _files:
            with suppress(OSError, ValueError):
                stream.flush()
            file = _GuardedFile(stream.fileno())
            is_line_buffered = stream.line_buffering or name == "stderr"
            guarded = _CleanStream(io.BufferedWriter(file), stream.encoding, "replace", line_buffering=is_line_buffered)
            _files[name] = file
            setattr(sys, name, guarded)


def raise_broken_pipes(is_wanted: bool) -> None:
    """Choose whether a write to standard output raises once nobody reads it, or is ignored.

    Args:
        is_wanted: whether it raises, which ends a command like ``al-loop logs --follow | head``.
    """
    if "stdout" in _files:
        _files["stdout"].raises_broken_pipe = is_wanted


def is_pipe_broken() -> bool:
    """Return whether nobody reads standard output any more; what is written to it then goes nowhere."""
    error = output_error()
    if error is None or error.errno != errno.EPIPE:
        return False
    raise_broken_pipes(False)
    return True


def output_error() -> OSError | None:
    """Return the last error of a write to standard output, after writing what is in its buffer."""
    if "stdout" not in _files:
        return None
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    return _files["stdout"].error
