"""The interface of reporters for terminals and logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from al_loop.campaign.reporter import Reporter
from al_loop.oracles.base import Objective


@dataclass(frozen=True)
class CampaignOverview:
    """The overview that is printed above the table of rounds.

    Args:
        name: name of the campaign.
        objectives: the optimised objectives.
        n_rounds: number of rounds, including the random first batch.
        n_calls: number of oracle calls planned for all rounds.
        n_answers: number of answers in the ledger at the start.
        run_dir: directory of the run.
        started: the time of the campaign's first start; None: now.
    """

    name: str
    objectives: Sequence[Objective]
    n_rounds: int
    n_calls: int
    n_answers: int
    run_dir: str
    started: datetime | None = None

    @property
    def goal(self) -> str:
        """The goal, such as ``minimise gap in eV, maximise qed``."""
        return ", ".join(
            f"{o.goal} {o.name.replace('_', ' ')}{f' in {o.unit}' if o.unit else ''}" for o in self.objectives
        )

    @property
    def unit(self) -> str:
        """The unit of a single objective, with a leading blank; empty otherwise."""
        return f" {self.objectives[0].unit}" if len(self.objectives) == 1 and self.objectives[0].unit else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each objective with its unit if there are several; empty otherwise."""
        if len(self.objectives) == 1:
            return ()
        return tuple(f"{o.name.replace('_', ' ')}{f' ({o.unit})' if o.unit else ''}" for o in self.objectives)


@dataclass(frozen=True)
class CampaignResult:
    """The results of a campaign.

    Args:
        n_answers: total number of answers.
        best: the best objects with their values, best first; with several objectives, of the Pareto front.
        n_front: with several objectives, the number of objects on the Pareto front; else None.
        hypervolume: with several objectives, the hypervolume; else None.
        no_best: the reason why there is no best object; else empty.
    """

    n_answers: int
    best: Sequence[tuple[str, tuple[float, ...]]] = ()
    n_front: int | None = None
    hypervolume: float | None = None
    no_best: str = "nothing measured"


class TerminalReporter(Reporter):
    """A reporter that also prints the beginning and end of a campaign; a context manager that restores the terminal."""

    #: what the rounds are reported with, also those that are reported before ``begin``
    overview: CampaignOverview = CampaignOverview("", (), 0, 0, 0, "")

    def begin(self, overview: CampaignOverview) -> None:
        """Report that the campaign starts or resumes."""
        self.overview = overview

    def end(self, result: CampaignResult, seconds: float) -> None:
        """Report that the campaign is done.

        Args:
            result: what it has brought.
            seconds: time since this start.
        """

    def close(self) -> None:
        """Stop live progress displays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
