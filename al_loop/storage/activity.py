"""The current activity of a campaign's process, in a small file of the run directory, for ``al-loop status``."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil

from al_loop.storage.files import write_whole

_NAME = "activity.json"
End = Literal["", "finished", "stopped", "interrupted", "failed"]


@dataclass(frozen=True)
class Activity:
    """The last activity that a process reported.

    Args:
        pid: the number of the process.
        host: the name of its machine.
        process_started: when the process started, in seconds since 1970: a later one may have the same number.
        phase: what it is doing, such as ``train``; empty between phases.
        round: the round that this concerns.
        since: the time since when, in ISO format.
        end: how it ended; empty while it works. ``stopped``: before the last round, by a rule or as it was told.
        error: the error by which it ended; empty if there was none.
    """

    pid: int
    host: str
    process_started: float
    phase: str = ""
    round: int = 0
    since: str = ""
    end: End = ""
    error: str = ""

    @property
    def began(self) -> datetime:
        """The time since when the process has been doing this."""
        return datetime.fromisoformat(self.since)

    @property
    def is_alive(self) -> bool | None:
        """Whether the process is still there; None if it is another machine's."""
        if self.host != platform.node():
            return None
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_started) < 1.0
        except psutil.Error:
            return False


class ActivityFile:
    """The file in which this process says what it is doing. What cannot be written is left out.

    Args:
        folder: the run directory.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._activity = Activity(os.getpid(), platform.node(), psutil.Process().create_time())

    def enter(self, phase: str, round_number: int) -> None:
        """Say that a phase begins.

        Args:
            phase: its name; empty between phases.
            round_number: the round.
        """
        self._write(replace(self._activity, phase=phase, round=round_number, end="", error=""))

    def leave(self, end: End, error: str = "") -> None:
        """Say that the process ends.

        Args:
            end: how.
            error: the error by which it does; empty if there is none.
        """
        self._write(replace(self._activity, end=end, error=error))

    def _write(self, activity: Activity) -> None:
        self._activity = replace(activity, since=datetime.now(UTC).isoformat(timespec="seconds"))
        with suppress(OSError):
            write_whole(self._path, json.dumps(asdict(self._activity)).encode())


def read_activity(folder: Path) -> Activity | None:
    """Return what the process of a run last said, or None if it never said anything legible.

    Args:
        folder: the run directory.
    """
    try:
        activity = Activity(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
        _ = activity.began
    except (OSError, ValueError, TypeError):
        return None
    return activity
