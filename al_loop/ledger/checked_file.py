"""A note beside a large SQLite ledger that its rows were compared with their checksums, and what the file was like.

A command that only reads need not compare hundreds of thousands of rows again as long as nobody has written to the
file. ``al-loop verify`` and a campaign's own start always compare.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path


class CheckedFile:
    """The note beside a ledger.

    Args:
        path: the file of the ledger.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._note = path, path.with_name(f"{path.name}.checked")

    def state(self) -> list[int]:
        """Return what changes when somebody writes to the ledger: its file's number, size and time, and its log's."""
        result: list[int] = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with suppress(OSError):
                found = path.stat()
                result += [found.st_ino, found.st_size, found.st_mtime_ns] if found.st_size else []
        return result

    def is_unchanged(self) -> bool:
        """Return whether the file is as it was when its rows were compared."""
        try:
            return bool(json.loads(self._note.read_text(encoding="utf-8")) == self.state())
        except (OSError, ValueError):
            return False

    def write(self, state: list[int]) -> None:
        """Write the note; where that is not possible, the rows are compared again the next time."""
        with suppress(OSError):
            self._note.write_text(json.dumps(state), encoding="utf-8")
