"""A note beside a large SQLite ledger that its rows were compared with their checksums, and what the file was like.

A command that only reads need not compare hundreds of thousands of rows again as long as nobody has written to the
file, and where a campaign has added rows since, it compares those. ``al-loop verify`` and a campaign's own start always
compare all.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

from al_loop.ledger.seals import Head


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

    def read(self, state: list[int]) -> tuple[bool, Head]:
        """Return whether the file is as it was when its rows were compared, and the last link that there was then.

        Args:
            state: the present state.
        """
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return note["state"] == state, Head(*note["head"])
        except (OSError, ValueError, TypeError, LookupError):
            return False, Head()

    def write(self, state: list[int], head: Head) -> None:
        """Write the note; where that is not possible, the rows are compared again the next time."""
        with suppress(OSError):
            self._note.write_text(json.dumps({"state": state, "head": astuple(head)}), encoding="utf-8")
