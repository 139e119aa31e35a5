"""The last write of a campaign to its ledger, in a file beside it, so that a ledger that has lost rows is noticed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from al_loop.errors import counted
from al_loop.ledger import Ledger, queries, schema
from al_loop.ledger.seals import Head

_NAME = "ledger-head.json"
_LENGTH = 200  # bytes of the file, which is overwritten in place


class LedgerHead:
    """The file with the last link of the ledger's chain that this campaign has written.

    It is not forced to the disk: after a kill it is up to date, and after a power cut it may be older than the ledger.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def write(self, head: Head) -> None:
        """Remember a link; where the file cannot be written, nothing is remembered."""
        text = json.dumps(asdict(head)).ljust(_LENGTH - 1) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError), os.fdopen(os.open(self._path, flags, 0o600), "wb") as file:
            file.write(text.encode())

    def read(self) -> Head | None:
        """Return the link that was remembered, or None if there is none that can be read."""
        try:
            return Head(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def compare(self, ledger: Ledger) -> str:
        """Return what a ledger lacks of what this campaign has written to it; empty if it has all of it."""
        seen = self.read()
        if seen is None:
            return ""
        now = ledger.head()
        if now.number < seen.number:
            n_answers = ledger.read(queries.n_answers)
            return (
                f"the ledger has lost its last {counted(seen.last - now.last, 'row')}: {now.last} of {seen.last} that "
                f"this campaign wrote are there, with {counted(n_answers, 'answer')}. Its write-ahead log was damaged "
                "or removed, or the file was replaced by an older copy; what was lost is measured again"
            )
        stored = ledger.read(lambda c: queries.exists(c, schema.links, number=seen.number, seal=seen.seal))
        if stored:
            return ""
        return (
            f"the ledger is not the one that this campaign wrote to last: row {seen.last} is another one; it was "
            "replaced by a copy that went on elsewhere"
        )
