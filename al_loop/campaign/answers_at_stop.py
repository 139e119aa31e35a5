"""A verified account of where the answers are that had arrived when a campaign was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: begins the description where every answer that arrived is in the ledger
ALL_SAFE: Final = "every answer that arrived is safe"


@dataclass(frozen=True)
class AnswersAtStop:
    """The answers of a session, counted when its last thread had ended or was given up.

    Args:
        n_committed: answers that are in the ledger.
        n_kept: answers that are in a file until the next start, since the ledger did not take them in time.
        files: the files that they are in.
        n_lost: answers that could not be written anywhere.
    """

    n_committed: int = 0
    n_kept: int = 0
    files: Sequence[Path] = ()
    n_lost: int = 0

    @property
    def are_some_missing(self) -> bool:
        """Whether answers that arrived are not in the ledger."""
        return bool(self.n_kept or self.n_lost)

    def __str__(self) -> str:
        in_ledger = f"{self.n_committed} in the ledger"
        if not self.are_some_missing:
            return f"{ALL_SAFE} ({in_ledger} in this session)"
        parts = [f"of the answers of this session {self.n_committed} {_are(self.n_committed)} in the ledger"]
        if self.n_kept:
            files = " and ".join(map(str, self.files))
            parts.append(
                f"{self.n_kept} {_are(self.n_kept)} in {files}, since the ledger did not take them in time; the next "
                "start commits them"
            )
        if self.n_lost:
            parts.append(f"{self.n_lost} could not be written anywhere, and {_are(self.n_lost)} in the message above")
        return ", ".join(parts)


def _are(n: int) -> str:
    return "is" if n == 1 else "are"
