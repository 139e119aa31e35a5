"""The resources that the phases of an open campaign share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from al_loop.campaign.executor import Executor
from al_loop.campaign.preparation import CampaignParts
from al_loop.campaign.reporter import Reporter
from al_loop.campaign.round_state import RoundStates
from al_loop.config import CampaignConfig
from al_loop.ledger import Ledger
from al_loop.sinks import Sinks
from al_loop.storage.checkpoints import Checkpoints
from al_loop.storage.rescued import RescuedAnswers
from al_loop.storage.run_directory import RunDirectory


@dataclass(frozen=True, eq=False)
class CampaignContext:
    """The parts of an open campaign, where it runs, where it keeps what it learns, and to whom it reports.

    Args:
        parts: the parts that the config names.
        directory: the run directory.
        ledger: the record of the campaign.
        checkpoints: the learner's states.
        rescued: answers that the ledger could not take.
        executor: where samplers, surrogate and oracle workers run.
        reporter: shows progress to the user.
        sinks: receive the numbers.
    """

    parts: CampaignParts
    directory: RunDirectory
    ledger: Ledger
    checkpoints: Checkpoints
    rescued: RescuedAnswers
    executor: Executor
    reporter: Reporter
    sinks: Sinks

    @property
    def config(self) -> CampaignConfig:
        """The config of the campaign."""
        return self.parts.config

    @cached_property
    def states(self) -> RoundStates:
        """The states of the ledger, shared by all phases of a round."""
        return RoundStates(self.ledger, self.parts)

    def note(self, message: str) -> None:
        """Tell the user something, through the reporter and the sinks."""
        self.reporter.note(message)
        self.sinks.note(message)

    def stop(self, reason: str, remedy: str = "") -> None:
        """Record why the campaign ends before its last round, and tell the user.

        Args:
            reason: why it ends.
            remedy: what lets it continue.
        """
        self.ledger.stop(reason)
        self.note(reason + (f"; to go on, {remedy}" if remedy else ""))
