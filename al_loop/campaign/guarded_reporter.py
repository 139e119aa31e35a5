"""A reporter whose errors never end a campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from al_loop.campaign.reporter import Phase, Reporter
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.outgoing import one_line, printable, redact


class _GuardedPhase(Phase):
    def __init__(self, phase: Phase) -> None:
        self._phase = phase

    def advance(self, detail: str = "") -> None:
        with suppress(Exception):
            self._phase.advance(one_line(redact(detail)))


class GuardedReporter(Reporter):
    """Passes everything on to another reporter, and ignores what goes wrong there.

    Args:
        reporter: the other reporter.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        """Show a phase while it lasts."""
        with ExitStack() as inner:
            phase = Phase()
            with suppress(Exception):
                phase = inner.enter_context(self._reporter.phase(round_number, name, total))
            closing = inner.pop_all()
            try:
                yield _GuardedPhase(phase)
            finally:
                with suppress(Exception):
                    closing.close()

    def round(self, summary: RoundSummary) -> None:
        """Report that a round is closed."""
        with suppress(Exception):
            self._reporter.round(summary)

    def note(self, message: str) -> None:
        """Tell the user something."""
        with suppress(Exception):
            self._reporter.note(printable(redact(message)))

    def detail(self, message: str) -> None:
        """Report a detail."""
        with suppress(Exception):
            self._reporter.detail(printable(redact(message)))
