"""What the command line prints."""

from al_loop.cli.terminal.terminal import (
    CampaignFacts,
    TerminalReporter,
    make_reporter,
    number,
    show_batch,
)

__all__ = [
    "CampaignFacts",
    "TerminalReporter",
    "make_reporter",
    "number",
    "show_batch",
]
