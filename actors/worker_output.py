"""The output of an oracle's process: where it goes, and what may go wrong with it."""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from textwrap import indent

from al_loop.oracles.base import Outcome
from al_loop.outgoing import one_line, printable, redact
from al_loop.storage.bounded_log import BoundedLog

_HINTS = {
    signal.SIGSEGV: "native code that the oracle calls crashed",
    signal.SIGBUS: "native code that the oracle calls crashed",
    signal.SIGFPE: "native code that the oracle calls crashed",
    signal.SIGILL: "native code that the oracle calls was built for another processor",
    signal.SIGABRT: "native code that the oracle calls gave up",
    signal.SIGKILL: "often because the machine ran out of memory",
}


class WorkerOutput:
    """Standard output and error of this process, in a log of bounded size.

    Whatever the oracle does with them (closes them, prints characters that the terminal lacks, fills the disk), no
    output fails here, and native code and programs that it starts write to the same file.

    Args:
        path: the log; None: what this process inherited.
    """

    def __init__(self, path: Path | None) -> None:
        self._log = None if path is None else BoundedLog(path)
        if path is not None:
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            except OSError:  # the disk is full, or the folder is gone
                file = os.open(os.devnull, os.O_WRONLY)
            os.dup2(file, 1)
            os.close(file)
        with suppress(OSError):
            os.dup2(1, 2)
        self._own = os.dup(1)  # the oracle may close the others
        sys.stdout = _stream(1)
        sys.stderr = _stream(2)
        faulthandler.enable(self._own, all_threads=False)

    def write(self, text: str) -> None:
        """Write to the log, without secrets and control sequences."""
        with suppress(OSError):
            os.write(self._own, printable(redact(text)).encode("utf-8", "backslashreplace"))

    def begin_call(self, timeout_s: float) -> None:
        """Have the log show, shortly before the time is up, where the call is."""
        faulthandler.dump_traceback_later(max(0.9 * timeout_s, timeout_s - 1.0), file=self._own)

    def end_call(self) -> None:
        """Write out what was printed, and bound the size of the log."""
        faulthandler.cancel_dump_traceback_later()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # closed, or replaced by the oracle
                stream.flush()
        self.trim()

    def trim(self) -> None:
        """Bound the size of the log."""
        if self._log is not None:
            self._log.trim()

    def record(self, item: str, outcome: Outcome) -> None:
        """Write a failure to the log, with its traceback."""
        if outcome.failure is None:
            return
        error = outcome.info.get("error")
        traceback = error.get("traceback") if isinstance(error, dict) else None
        failure = f"{outcome.failure.kind}: {one_line(outcome.failure.reason):.500}"
        self.write(
            f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {one_line(item):.200}: {failure}\n"
            + (indent(f"{traceback}\n", "    ") if traceback else "")  # so that no line of it looks like one of ours
        )


def describe_exit(code: int | None) -> str:
    """Return the end of a process in words, from its exit code or the negative number of a signal."""
    if code is None or code >= 0:
        return f"exit code {code}" + ("" if code is None else ", as after os._exit")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"exit code {code}"
    hint = _HINTS.get(signal.Signals(-code))
    return f"exit code {code}, {name}" + (f": {hint}" if hint else "")


class _Unfailing(io.RawIOBase):
    """A file descriptor to which every write succeeds; what the disk cannot take is lost."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, content: object) -> int:
        data = bytes(content)  # type: ignore[call-overload]
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return len(data)


class _CleanStream(io.TextIOWrapper):
    """A stream without secrets and control sequences."""

    def write(self, text: str) -> int:
        super().write(printable(redact(text)))
        return len(text)


def _stream(descriptor: int) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_Unfailing(descriptor))
    return _CleanStream(buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True)
