"""A campaign as a Ray job: the same ``al-loop run`` on the cluster's head, with the user's modules beside it.

What travels: the folder of the config (without run directories, environments, secrets and large files), the modules of
``target:`` parts that lie elsewhere outside the installed packages, and al-loop itself. What must be on the cluster:
al-loop's dependencies, and storage that its head can write, where the run directory is kept. A run directory on the
head's own disk is lost with the head; put it on shared storage, or the ledger on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from al_loop.actors.jobs.package import pack
from al_loop.actors.jobs.runtime_env import (
    JobEnvironment,
    refuse_lost_files,
    refuse_lost_ledger,
    refuse_secrets,
    runtime_env,
)
from al_loop.config import CampaignConfig
from al_loop.errors import CampaignError, ConfigError, first_line

_RUN_KEY, _CAMPAIGN_KEY = "al_loop_run", "al_loop_campaign"
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray lets them win over an address that is given
_EXIT_OF_STOPPED = 143  # as of a process that SIGTERM ended
_SAID_BY_THE_STATUS = (
    "Job is currently running",
    "Job finished successfully",
    "Job was intentionally stopped",
    "Job entrypoint command failed",
)
_SETUP_FAILED = "runtime_env setup failed"
_NO_AGENT = "No available agent"  # of the head's node, which starts later than the job server, or not at all
_LONGEST_ID = 255 - len("job-driver-.log")  # that of a file name, in which Ray puts it
_AGENT_S = 60.0
_POLL_S = 0.5
_RETRY_S, _FAILURES_IN_A_ROW = 2.0, 5


@dataclass(frozen=True)
class Job:
    """A Ray job that runs a campaign.

    is_new: False where a job of the same run was found running.
    left_behind: files too large to travel.
    """

    id: str
    is_new: bool
    left_behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobState:
    """Where a job of a campaign stands.

    status: Ray's word for it: pending, running, succeeded, failed or stopped.
    run_dir: as the cluster's head sees it.
    message: what Ray says of it, a line; empty where that is no more than the status.
    exit_code: of the job's command; None where it has not ended by itself.
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


class Cluster:
    """The job server of a Ray cluster.

    Args:
        address: of the head's dashboard, e.g. ``http://head:8265``.

    Raises:
        ConfigError: nothing answers there, or it is no job server of Ray.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"--address: {address!r} is not the address of a job server, expected http://HEAD:8265")
        from ray.job_submission import JobSubmissionClient

        try:
            with _without_environment(_OVERRIDING):
                self._client: Any = JobSubmissionClient(address)
        except Exception as error:  # requests and Ray raise many types
            raise ConfigError(
                f"--address: no Ray job server answers at {address} ({first_line(error)}); "
                "is it the head's dashboard, and is its port open?"
            ) from error

    # ---- jobs that are there -------------------------------------------------------------------------------------

    def jobs(self) -> list[JobState]:
        """Every job that runs or ran a campaign, the newest first."""
        known = [_state(job) for job in self._ask("list_jobs") if (job.metadata or {}).get(_CAMPAIGN_KEY)]
        return sorted(known, key=lambda job: job.started or datetime.min.replace(tzinfo=UTC), reverse=True)

    def find(self, name: str) -> JobState:
        """The job of this id, or the newest job of the campaign of this name.

        Raises:
            ConfigError: there is none.
        """
        jobs = self.jobs()
        for job in [j for j in jobs if j.id == name] + [j for j in jobs if j.campaign == name]:
            return job
        newest: dict[str, JobState] = {}
        for job in jobs:
            newest.setdefault(job.campaign, job)
        near = get_close_matches(name, [*newest, *(job.id for job in jobs)], n=1)
        shown = ", ".join(f"{campaign} ({job.id}, {job.status})" for campaign, job in newest.items())
        raise ConfigError(
            f"{name!r} is neither a campaign nor a job at {self.address}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + (f"; known there: {shown}" if shown else "; no campaign was submitted there")
        )

    def state(self, job_id: str) -> JobState:
        """Where a job stands now."""
        return _state(self._ask("get_job_info", job_id))

    def log(self, job_id: str) -> str:
        """All that the job has printed."""
        return str(self._ask("get_job_logs", job_id))

    def running(self, run_dir: Path) -> str | None:
        """The id of a job that runs the campaign of this run directory, if there is one."""
        return next((job.id for job in self.jobs() if job.run_dir == str(run_dir) and not job.has_ended), None)

    def stop(self, job_id: str, *, wait: bool = True) -> JobState:
        """Has a job end cleanly, and waits until it has; Ray kills it where that takes longer than a minute.

        Raises:
            CampaignError: the cluster has gone.
        """
        while True:
            self._ask("stop_job", job_id)  # told again, since a job that was just beginning does not hear it
            job = self.state(job_id)
            if not wait or job.has_ended:
                return job
            time.sleep(_POLL_S)

    def _ask(self, what: str, *arguments: Any) -> Any:
        try:
            return getattr(self._client, what)(*arguments)
        except Exception as error:  # requests and Ray raise many types
            raise CampaignError(f"the Ray cluster at {self.address} does not answer: {_said(error)}") from error

    # ---- a new job -----------------------------------------------------------------------------------------------

    def submit(
        self,
        config_file: Path,
        config: CampaignConfig,
        overrides: Sequence[str],
        run_dir: Path,
        environment: JobEnvironment | None = None,
    ) -> Job:
        """Starts the campaign, or has it go on, unless a job of the same run is running already.

        Args:
            config_file: what ``al-loop run`` will read on the cluster; its folder travels.
            config: the same, read and valid.
            overrides: ``key=value`` each.
            run_dir: absolute, as the cluster's head sees it.
            environment: what is installed and handed on; left out: nothing.

        Raises:
            ConfigError: it would make a password visible, or lose the ledger or other files, or cannot travel, or its
                name is too long.
            CampaignError: the cluster refuses the job.
        """
        environment = environment or JobEnvironment()
        job_id = f"{config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        if len(job_id) > _LONGEST_ID:
            most = _LONGEST_ID - len(job_id) + len(config.name)
            raise ConfigError(f"name: {config.name!r:.40}... is too long for a job of Ray, at most {most} characters")
        refuse_secrets(config_file, config, overrides)
        refuse_lost_files(config)
        if environment.image is not None:
            refuse_lost_ledger(config)
        found = self.running(run_dir)
        if found:
            return Job(found, is_new=False)
        config_file = config_file.resolve()
        luggage = pack(config_file, config) if environment.image is None else None
        command = ["python", "-m", "al_loop.cli", "run", config_file.name, *overrides]
        command += ["--run-dir", str(run_dir), "--address", "auto"]
        entrypoint = shlex.join(command)
        if environment.image is not None:
            text, name = config_file.read_text(encoding="utf-8"), shlex.quote(config_file.name)
            entrypoint = f'cd "$(mktemp -d)" && printf %s {shlex.quote(text)} > {name} && exec {entrypoint}'
        with tempfile.TemporaryDirectory(prefix="al-loop-submit-") as staging, _without_chatter():
            self._begin(
                job_id,
                entrypoint=entrypoint,
                runtime_env=runtime_env(luggage, environment, Path(staging)),
                metadata={_RUN_KEY: str(run_dir), _CAMPAIGN_KEY: config.name},
            )
        return Job(job_id, is_new=True, left_behind=luggage.left_behind if luggage else ())

    def _begin(self, job_id: str, **what: Any) -> None:
        """Starts a job; waits for the agent of a head that is just starting."""
        began = time.monotonic()
        while True:
            try:
                self._client.submit_job(submission_id=job_id, **what)
                return
            except Exception as error:  # requests and Ray raise many types
                if _NO_AGENT not in str(error):
                    raise CampaignError(f"the Ray cluster at {self.address} refused the job: {_said(error)}") from error
                if time.monotonic() - began > _AGENT_S:
                    raise CampaignError(
                        f"the Ray cluster at {self.address} takes no jobs: the agent of its head does not answer; "
                        "is another Ray on that machine using its port (ray start --dashboard-agent-listen-port)?"
                    ) from error
            time.sleep(_POLL_S)

    def follow(self, job_id: str, write: Callable[[str], None]) -> int:
        """Hands on what the job prints until it has ended.

        Returns:
            The exit code of the job's command; 143 where the job was stopped.

        Raises:
            CampaignError: Ray could not run the command, or the cluster has not answered five times in a row.
        """
        n_written = 0

        async def tail() -> None:
            nonlocal n_written
            skip = n_written  # a connection that broke begins again with the first line
            async for text in self._client.tail_job_logs(job_id):
                new, skip = text[skip:], max(skip - len(text), 0)
                if new:
                    write(new)
                    n_written += len(new)

        failures = 0
        while True:
            try:
                with _without_chatter():
                    asyncio.run(tail())
                job = _state(self._client.get_job_info(job_id))
            except Exception as error:
                failures += 1
                if failures == _FAILURES_IN_A_ROW:
                    raise CampaignError(f"lost sight of the job {job_id}: {_said(error)}") from error
                time.sleep(_RETRY_S)
                continue
            failures = 0
            if job.has_ended:
                break
            time.sleep(_POLL_S)
        if job.exit_code is not None:
            return job.exit_code if job.exit_code >= 0 else 128 - job.exit_code
        if job.status == "stopped":
            return _EXIT_OF_STOPPED
        if job.status == "succeeded":
            return 0
        raise CampaignError(f"the job {job_id} {job.status}: {job.message or 'Ray gives no reason'}")


def _state(job: Any) -> JobState:
    metadata = job.metadata or {}
    return JobState(
        id=str(job.submission_id or job.job_id),
        campaign=str(metadata.get(_CAMPAIGN_KEY, "")),
        run_dir=str(metadata.get(_RUN_KEY, "")),
        status=str(job.status.value).lower(),
        started=_moment(job.start_time),
        ended=_moment(job.end_time),
        message=_message(job.message or ""),
        exit_code=None if job.driver_exit_code is None else int(job.driver_exit_code),
    )


def _said(error: Exception) -> str:
    """What an error says, in a line; of a traceback of the job server the last one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]  # Ray's client appends a full stop
    return lines[-1][:300] if lines and "Traceback (most recent call last)" in lines[0] else first_line(error)


def _moment(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _message(text: str) -> str:
    """What Ray says of a job, in a line, where that is more than the status and the exit code."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0].startswith(_SAID_BY_THE_STATUS):
        return ""
    if lines[0].startswith(_SETUP_FAILED):  # a traceback, and at its end what pip or the like said
        return f"{_SETUP_FAILED}: {next((line for line in lines if line.startswith('ERROR')), lines[-1])}"[:500]
    return lines[0][:300]


@contextmanager
def _without_environment(names: Sequence[str]) -> Iterator[None]:
    saved = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keeps Ray's client from logging every package that it uploads, and every connection that closes."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)
