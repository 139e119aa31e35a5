"""Jobs as Ray's job server reports them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

RUN_KEY, CAMPAIGN_KEY = "al_loop_run", "al_loop_campaign"
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_UNINFORMATIVE = (
    "Job is currently running",
    "Job finished successfully",
    "Job was intentionally stopped",
    "Job entrypoint command failed",
)
_SETUP_FAILED = "runtime_env setup failed"


@dataclass(frozen=True)
class JobState:
    """The state of a job that runs a campaign.

    Attributes:
        id: The job's id.
        campaign: The campaign's name.
        run_dir: The run directory, as the cluster's head sees it.
        status: Ray's word: pending, running, succeeded, failed or stopped.
        started: The start of the job.
        ended: The end of the job.
        message: Ray's message in one line; empty where it only repeats the status.
        exit_code: The exit code of the job's command; None where the command has not ended by itself.
    """

    id: str
    campaign: str
    run_dir: str
    status: str
    started: datetime | None = None
    ended: datetime | None = None
    message: str = ""
    exit_code: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing runs any more."""
        return self.status.upper() in _ENDED


def is_campaign(details: Any) -> bool:
    """Return whether a job runs a campaign.

    Args:
        details: Ray's ``JobDetails``.
    """
    return bool((details.metadata or {}).get(CAMPAIGN_KEY))


def state_of(details: Any) -> JobState:
    """Return the state of a job.

    Args:
        details: Ray's ``JobDetails``.
    """
    metadata = details.metadata or {}
    return JobState(
        id=str(details.submission_id or details.job_id),
        campaign=str(metadata.get(CAMPAIGN_KEY, "")),
        run_dir=str(metadata.get(RUN_KEY, "")),
        status=str(details.status.value).lower(),
        started=_time(details.start_time),
        ended=_time(details.end_time),
        message=_message(details.message or ""),
        exit_code=None if details.driver_exit_code is None else int(details.driver_exit_code),
    )


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _message(text: str) -> str:
    """Return Ray's message in one line, or nothing where it only repeats the status and the exit code."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0].startswith(_UNINFORMATIVE):
        return ""
    if lines[0].startswith(_SETUP_FAILED):  # a traceback, which ends with the message of pip or the like
        return f"{_SETUP_FAILED}: {next((line for line in lines if line.startswith('ERROR')), lines[-1])}"[:500]
    return lines[0][:300]
