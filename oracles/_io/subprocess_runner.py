"""Child processes whose output is read line by line, bounded in time and in size."""

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
_POLL_S = 0.05  # interval of checks whether the program has ended, for output that another process keeps open
_STDERR_BYTES = 4096  # the last part of stderr, which is kept for error messages
_FINAL_READS = 32  # a pipe holds at most 1 MiB (pipe(7)); anything beyond that comes from another process


class Program:
    """A program that runs without a shell; leaving the ``with`` block ends it and all processes that it started.

    Reading cannot deadlock with a program that does not read its input, and does not wait for processes that the
    program leaves running in the background.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        variables: its complete environment.
        text: its input on stdin; None for no input.
        timeout_s: time limit in seconds; None for no limit.
        max_bytes: maximum number of bytes on stdout.

    Raises:
        OSError: the program cannot be started.
        ValueError: an argument is invalid (it contains a NUL character).
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        text: str | None,
        timeout_s: float | None,
        max_bytes: float,
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
        self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._max_bytes = max_bytes
        self._stderr = b""
        #: the limit that the program exceeded, so that it was ended; empty if it ended by itself
        self.exceeded: Literal["", "time", "size"] = ""

    @property
    def code(self) -> int | None:
        """Return the exit code, the negative number of a signal, or None while the program runs."""
        return self._process.returncode

    @property
    def stderr(self) -> str:
        """Return the last part of what the program wrote to stderr."""
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
        """Yield the lines of stdout as they are written, until the program has ended or exceeds a limit."""
        return whole_lines(self._chunks(), lambda: self.code == 0)

    def _chunks(self) -> Iterator[bytes]:
        process = self._process
        n_bytes = n_final_reads = 0
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    selector.register(pipe, selectors.EVENT_WRITE if pipe is process.stdin else selectors.EVENT_READ)
            while True:
                # checked before the pipes are read: by then they contain all that the program wrote before it ended
                has_ended = process.poll() is not None
                remaining_s = float("inf") if self._deadline is None else self._deadline - time.monotonic()
                if remaining_s <= 0 and not has_ended:
                    self.exceeded = "time"
                    return
                is_quiet = True
                for key, _ in selector.select(0 if has_ended else min(_POLL_S, remaining_s)):
                    pipe = cast(IO[bytes], key.fileobj)
                    if pipe is process.stdin:
                        is_open = not has_ended and self._feed(key.fd)
                    else:
                        data = os.read(key.fd, _CHUNK)
                        is_open, is_quiet = bool(data), is_quiet and not data
                        if pipe is process.stderr:
                            self._stderr = (self._stderr + data)[-_STDERR_BYTES:]
                        elif data:
                            n_bytes += len(data)
                            if n_bytes > self._max_bytes:
                                self.exceeded = "size"
                                return
                            yield data
                    if not is_open:
                        selector.unregister(pipe)
                        pipe.close()
                n_final_reads += has_ended
                if has_ended and (is_quiet or n_final_reads > _FINAL_READS):
                    return
                if not selector.get_map() and not has_ended:  # it has closed its output but still runs
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=None if self._deadline is None else max(remaining_s, 0))

    def _feed(self, fd: int) -> bool:
        """Write as much as stdin accepts; return False if all is written or the program has closed its input."""
        with suppress(BlockingIOError):
            try:
                self._text = self._text[os.write(fd, self._text[:_CHUNK]) :]
            except BrokenPipeError:
                return False
        return len(self._text) > 0


def whole_lines(chunks: Iterable[bytes], has_succeeded: Callable[[], bool]) -> Iterator[str]:
    """Yield the lines in chunks of UTF-8, including an unterminated last line only if the program succeeded.

    If the program failed, an unterminated line may be the first half of a number.

    Args:
        chunks: the output, divided anywhere.
        has_succeeded: called after the last chunk.
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
    if line and has_succeeded():
        yield line.removeprefix("\ufeff") if is_first else line
