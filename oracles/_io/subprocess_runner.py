"""Running a program: its output line by line, bounded in time and in size."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self, cast

from al_loop.system.processes import end_tree

_CHUNK = 1 << 16
_LOOK_S = 0.05  # how often it is looked whether a program has ended whose output something else keeps open
_KEPT_BYTES = 4096  # of what it writes to stderr
_LAST_LOOKS = 32  # a pipe holds 1 MiB at the most (pipe(7)); what still comes then is another program's


class Program:
    """A program that runs without a shell; leaving the ``with`` block ends it with all that it started.

    Reading neither waits for output that the program will not read, nor for what it leaves running behind itself.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        variables: its whole environment.
        text: what it is given on stdin; None: nothing.
        timeout_s: how long it may take, in seconds; None: no limit.
        limit: bytes that it may write to stdout.

    Raises:
        OSError: it cannot be started.
        ValueError: an argument cannot be one (it holds a NUL).
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        text: str | None,
        timeout_s: float | None,
        limit: float,
    ) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._text = memoryview((text or "").encode("utf-8", "replace"))
        self._ends = None if timeout_s is None else time.monotonic() + timeout_s
        self._limit = limit
        self._stderr = b""
        #: why it was ended before its time
        self.ended_for: Literal["", "time", "size"] = ""

    @property
    def code(self) -> int | None:
        """Its exit code, a signal's number below 0; None: it still runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """The last of what it wrote to stderr."""
        return self._stderr.decode("utf-8", "replace").strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            end_tree(self._process.pid)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def lines(self) -> Iterator[str]:
        """What it writes to stdout, as it writes it; ends when the program has ended, or has been."""
        return whole_lines(self._chunks(), lambda: self.code == 0)

    def _chunks(self) -> Iterator[bytes]:
        process = self._process
        n_bytes = n_last_looks = 0
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe, selectors.EVENT_WRITE if pipe is process.stdin else selectors.EVENT_READ)
            while True:
                # before looking at the pipes: all that it wrote before it ended is in them by then
                has_ended = process.poll() is not None
                left = float("inf") if self._ends is None else self._ends - time.monotonic()
                if left <= 0 and not has_ended:
                    self.ended_for = "time"
                    return
                is_quiet = True
                for key, _ in selector.select(0 if has_ended else min(_LOOK_S, left)):
                    pipe = cast(IO[bytes], key.fileobj)
                    if pipe is process.stdin:
                        is_open = not has_ended and self._feed(key.fd)
                    else:
                        data = os.read(key.fd, _CHUNK)
                        is_open, is_quiet = bool(data), is_quiet and not data
                        if pipe is process.stderr:
                            self._stderr = (self._stderr + data)[-_KEPT_BYTES:]
                        elif data:
                            n_bytes += len(data)
                            if n_bytes > self._limit:
                                self.ended_for = "size"
                                return
                            yield data
                    if not is_open:
                        selector.unregister(pipe)
                        pipe.close()
                n_last_looks += has_ended
                if has_ended and (is_quiet or n_last_looks > _LAST_LOOKS):
                    return
                if not selector.get_map() and not has_ended:  # it has closed its output and goes on
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=None if self._ends is None else max(left, 0))

    def _feed(self, fd: int) -> bool:
        """Writes what stdin takes; False: all is written, or the program does not want it."""
        with suppress(BlockingIOError):
            try:
                self._text = self._text[os.write(fd, self._text[:_CHUNK]) :]
            except BrokenPipeError:
                return False
        return len(self._text) > 0


def whole_lines(chunks: Iterable[bytes], has_ended_well: Callable[[], bool]) -> Iterator[str]:
    """The lines in chunks of UTF-8; the last one needs no line end where the program has ended well.

    Where it has not, what has no end may be the first half of a number.
    """
    pieces: list[bytes] = []
    is_first = True
    for chunk in chunks:
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = b"".join([*pieces, end, b"\n"]).decode("utf-8", "replace")
            pieces.clear()
            yield line.removeprefix("\ufeff") if is_first else line
            is_first = False
        pieces.append(rest)
    line = b"".join(pieces).decode("utf-8", "replace")
    if line and has_ended_well():
        yield line.removeprefix("\ufeff") if is_first else line
