"""Terminal output of the command line: progress, tables and summaries.

- ``base``: the interface; ``rich_reporter``: terminals; ``plain_reporter``: logs; ``make_reporter`` chooses.
- ``columns``: the table of rounds; ``batch``: a batch that waits for review; ``sweep``: the table of a sweep;
  ``progress``: a single bar; ``numbers``: numbers and durations.
"""

from __future__ import annotations

from rich.console import Console

from al_loop.cli.terminal.base import CampaignOverview, CampaignResult, TerminalReporter
from al_loop.cli.terminal.batch import show_batch
from al_loop.cli.terminal.numbers import format_number, with_unit
from al_loop.cli.terminal.plain_reporter import PlainReporter
from al_loop.cli.terminal.progress import progress_bar
from al_loop.cli.terminal.rich_reporter import RichReporter

__all__ = [
    "CampaignOverview",
    "CampaignResult",
    "TerminalReporter",
    "format_number",
    "make_reporter",
    "progress_bar",
    "show_batch",
    "with_unit",
]


def make_reporter(*, quiet: bool, verbose: bool, console: Console | None = None) -> TerminalReporter:
    """Create a reporter with bars and a table on a terminal, with log lines anywhere else.

    Args:
        quiet: whether to print one line per round, also on a terminal.
        verbose: whether to print details as well.
        console: the console to print to; default: standard output.
    """
    console = console or Console(highlight=False)
    if quiet or not console.is_terminal:
        return PlainReporter(quiet=quiet, verbose=verbose)
    return RichReporter(console, verbose=verbose)
