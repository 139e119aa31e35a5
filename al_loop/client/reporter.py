"""The lines that a campaign prints in a notebook or a script."""

from __future__ import annotations

from al_loop.campaign.reporter import Reporter
from al_loop.cli.terminal.base import CampaignOverview
from al_loop.cli.terminal.plain_reporter import PlainReporter
from al_loop.config import CampaignConfig
from al_loop.oracles.base import Objective


def make_reporter(settings: CampaignConfig, optimised: list[Objective], run_dir: str, *, quiet: bool) -> Reporter:
    """Return a reporter that prints one line per round, or nothing.

    Args:
        settings: the campaign's config.
        optimised: its optimised objectives.
        run_dir: its run directory.
        quiet: whether to print nothing.
    """
    if quiet:
        return Reporter()
    reporter = PlainReporter(quiet=True)
    reporter.begin(CampaignOverview(settings.name, optimised, settings.rounds.count + 1, 0, 0, run_dir))
    return reporter
