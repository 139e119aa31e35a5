"""A reporter that also records in the run directory what the campaign is doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from al_loop.campaign.reporter import Phase, Reporter
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.storage.activity import ActivityFile


class TrackingReporter(Reporter):
    """Passes everything on to another reporter.

    Args:
        reporter: shows progress to the user.
        activity: records the phases.
    """

    def __init__(self, reporter: Reporter, activity: ActivityFile) -> None:
        self._reporter, self._activity = reporter, activity

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        self._activity.enter(name, round_number)
        with self._reporter.phase(round_number, name, total) as phase:
            yield phase
        self._activity.enter("", round_number)

    def round(self, summary: RoundSummary) -> None:
        self._reporter.round(summary)

    def note(self, message: str) -> None:
        self._reporter.note(message)

    def detail(self, message: str) -> None:
        self._reporter.detail(message)
