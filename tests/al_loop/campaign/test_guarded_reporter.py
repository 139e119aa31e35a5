"""Reporters that raise end no campaign."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from al_loop.campaign.guarded_reporter import GuardedReporter
from al_loop.campaign.reporter import Phase, Reporter


class Broken(Reporter):
    """A reporter to a terminal that is gone."""

    @contextmanager
    def phase(self, round_number: int, name: str, total: int) -> Iterator[Phase]:
        class BrokenPhase(Phase):
            def advance(self, detail: str = "") -> None:
                raise OSError("input/output error")

        if name == "fit":
            raise UnicodeEncodeError("ascii", "µ", 0, 1, "ordinal not in range")
        yield BrokenPhase()
        raise OSError("input/output error")

    def note(self, message: str) -> None:
        raise OSError("no space left on device")


@pytest.mark.parametrize("name", ["fit", "train"])
def test_errors_of_a_reporter_are_ignored_and_those_of_the_phase_are_not(name: str) -> None:
    reporter = GuardedReporter(Broken())
    reporter.note("gone")
    with reporter.phase(1, name, 3) as phase:
        phase.advance()
    with pytest.raises(ValueError, match="of the campaign"), reporter.phase(1, name, 3):
        raise ValueError("of the campaign")
