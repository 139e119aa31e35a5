"""The interface through which a campaign shows its progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from al_loop.monitoring.round_summary import RoundSummary


class Phase:
    """A piece of work whose progress is shown; this base class shows nothing."""

    def advance(self, detail: str = "") -> None:
        """Report that one step is done.

        Args:
            detail: what to show beside the progress, such as the loss.
        """


class Reporter:
    """Receives a campaign's progress and messages; this base class ignores them. Called from several threads."""

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Show a phase while it lasts.

        Args:
            round_number: the round.
            name: name of the phase, such as ``fit``, ``train``, ``select`` or ``oracle``.
            total: number of its steps.
        """
        yield Phase()

    def round(self, summary: RoundSummary) -> None:
        """Report that a round is closed."""

    def note(self, message: str) -> None:
        """Tell the user something."""

    def detail(self, message: str) -> None:
        """Report a detail, which ``--verbose`` shows."""
