"""Log lines of a campaign."""

from al_loop.cli.terminal.plain_reporter import PlainReporter
from al_loop.monitoring.round_summary import RoundSummary


def test_a_round_may_be_reported_before_the_beginning() -> None:
    lines: list[str] = []
    PlainReporter(write=lines.append).round(RoundSummary(2, 9, 0, 1.5, 1.0, 0.8, None, 0.5, {}))
    assert "best 1.500" in lines[0]
