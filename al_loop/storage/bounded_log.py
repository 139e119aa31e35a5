"""Log files of bounded size, in which the newest output survives."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from al_loop.storage.files import no_link

MAX_BYTES = 4_000_000
_NOTE = b"... earlier output was removed ...\n"


class BoundedLog:
    """A log file that several processes append to; its older half is removed when it becomes too large.

    It is shortened in place, so whoever has it open goes on writing to it. Nothing here raises an OSError: output is
    never a reason to lose a measurement.

    Args:
        path: the file.
        max_bytes: the largest size that ``trim`` leaves.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path, self._max_bytes = path, max_bytes

    @property
    def size(self) -> int:
        """Size of the file in bytes; 0 if there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def append(self, content: bytes) -> None:
        """Append to the file."""
        with suppress(OSError), open(self.path, "ab", opener=no_link) as file:
            file.write(content)
        self.trim()

    def trim(self) -> None:
        """Remove the older half of the file if it is too large."""
        if self.size <= self._max_bytes or self.path.is_symlink():
            return
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(-(self._max_bytes // 2), os.SEEK_END)
            file.readline()  # the rest of a line
            newest = file.read(self._max_bytes // 2)
            os.truncate(self.path, 0)
            with self.path.open("ab") as end:
                end.write(_NOTE + newest)

    def since(self, position: int, max_bytes: int) -> bytes:
        """Return what was written after a position, at most its last ``max_bytes``.

        Args:
            position: an earlier ``size``.
            max_bytes: maximum number of bytes; the earlier ones are left out.
        """
        size = self.size
        start = max(position if position <= size else 0, size - max_bytes)
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(start)
            return file.read(max_bytes)
        return b""
