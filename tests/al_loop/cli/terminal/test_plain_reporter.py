"""Log lines of a campaign."""

import math

from al_loop.cli.terminal.plain_reporter import PlainReporter
from al_loop.monitoring.round_summary import RoundSummary


def test_a_round_may_be_reported_before_the_beginning() -> None:
    lines: list[str] = []
    PlainReporter(write=lines.append).round(RoundSummary(2, 9, 0, 1.5, 1.0, 0.8, None, 0.5, {}))
    assert "best 1.500" in lines[0]


def test_a_round_without_new_answers_shows_no_nan() -> None:
    lines: list[str] = []
    undefined = RoundSummary(0, 0, 0, math.nan, math.nan, math.nan, None, math.nan, {})
    PlainReporter(write=lines.append).round(undefined)
    assert "nan" not in lines[0]
