"""What a campaign tells whoever watches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from al_loop.monitoring.round_summary import RoundSummary


class Phase:
    """A piece of work whose progress can be seen; this one shows nothing."""

    def advance(self, detail: str = "") -> None:
        """One step is done."""


class Reporter:
    """Receives everything that a campaign has to say; this one is silent. Called from several threads."""

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """While a phase of ``total`` steps lasts."""
        yield Phase()

    def round(self, summary: RoundSummary) -> None:
        """A round is over."""

    def note(self, message: str) -> None:
        """Something the user should know."""

    def detail(self, message: str) -> None:
        """Something for ``-v``."""
