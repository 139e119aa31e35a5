"""Campaigns as Ray jobs: the same ``al-loop run``, on the cluster's head, with the user's modules beside it.

The job receives the folder of the config (without run directories, environments, secrets and large files), the modules
of ``target:`` parts that lie elsewhere outside the installed packages, and al-loop itself. The cluster needs al-loop's
dependencies, and storage that its head can write, for the run directory. A run directory on the head's own disk is lost
with the head; put it on shared storage, or the ledger on PostgreSQL.
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

from al_loop.actors.cluster_token import find_token, is_refused_token, token_advice
from al_loop.actors.jobs.package import pack
from al_loop.actors.jobs.refusals import refuse_lost_files, refuse_lost_ledger, refuse_secrets
from al_loop.actors.jobs.runtime_env import JobEnvironment, runtime_env
from al_loop.actors.jobs.states import CAMPAIGN_KEY, RUN_KEY, JobState, is_campaign, state_of
from al_loop.config import CampaignConfig
from al_loop.config.energy_schema import EnergyConfig
from al_loop.errors import CampaignError, ConfigError, summary

_OVERRIDING_VARIABLES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray prefers them to an explicit address
_EXIT_CODE_STOPPED = 143  # as of a process that was ended by SIGTERM
_NO_AGENT = "No available agent"  # the head's agent starts after the job server, or not at all
_LONGEST_ID = 255 - len("job-driver-.log")  # Ray makes a file name of it
_AGENT_WAIT_S = 60.0
_POLL_S = 0.5
_RETRY_S, _MAX_FAILURES_IN_A_ROW = 2.0, 5


@dataclass(frozen=True)
class Job:
    """A Ray job that runs a campaign.

    Attributes:
        id: The job's id.
        is_new: False where a job of the same run was running already.
        left_behind: The files that are too large to travel.
    """

    id: str
    is_new: bool
    left_behind: tuple[str, ...] = ()


class Cluster:
    """The job server of a Ray cluster.

    Args:
        address: The address of the head's dashboard, e.g. ``http://head:8265``.

    Raises:
        ConfigError: Nothing answers there, or it is not a job server of Ray, or it refuses the token.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"--address: {address!r} is not the address of a job server, expected http://HEAD:8265")
        self._client: Any = _connect(address)

    # ---- existing jobs -------------------------------------------------------------------------------------------

    def jobs(self) -> list[JobState]:
        """Return the state of every job that runs or ran a campaign, newest first.

        Raises:
            CampaignError: The cluster does not answer.
        """
        states = [state_of(details) for details in self._call(self._client.list_jobs) if is_campaign(details)]
        return sorted(states, key=lambda job: job.started or datetime.min.replace(tzinfo=UTC), reverse=True)

    def find(self, name: str) -> JobState:
        """Return the job of this id, or the newest job of the campaign of this name.

        Args:
            name: A job's id or a campaign's name.

        Raises:
            ConfigError: There is no such job.
            CampaignError: The cluster does not answer.
        """
        jobs = self.jobs()
        for job in [j for j in jobs if j.id == name] + [j for j in jobs if j.campaign == name]:
            return job
        newest: dict[str, JobState] = {}
        for job in jobs:
            newest.setdefault(job.campaign, job)
        near = get_close_matches(name, [*newest, *(job.id for job in jobs)], n=1)
        campaigns = ", ".join(f"{campaign} ({job.id}, {job.status})" for campaign, job in newest.items())
        raise ConfigError(
            f"{name!r} is neither a campaign nor a job at {self.address}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + (f"; known there: {campaigns}" if campaigns else "; no campaign was submitted there")
        )

    def state(self, job_id: str) -> JobState:
        """Return the current state of a job.

        Args:
            job_id: The job's id.

        Raises:
            CampaignError: The cluster does not answer.
        """
        return state_of(self._call(self._client.get_job_info, job_id))

    def log(self, job_id: str) -> str:
        """Return everything that a job has printed.

        Args:
            job_id: The job's id.

        Raises:
            CampaignError: The cluster does not answer.
        """
        return str(self._call(self._client.get_job_logs, job_id))

    def running(self, run_dir: Path) -> str | None:
        """Return the id of a job that is running the campaign of a run directory, or None.

        Args:
            run_dir: The run directory, as the cluster's head sees it.
        """
        return next((job.id for job in self.jobs() if job.run_dir == str(run_dir) and not job.has_ended), None)

    def stop(self, job_id: str, *, wait: bool = True) -> JobState:
        """Stop a job cleanly; Ray kills it where that takes longer than a minute.

        Args:
            job_id: The job's id.
            wait: Whether to wait until the job has ended.

        Returns:
            The job's state afterwards.

        Raises:
            CampaignError: The cluster does not answer.
        """
        while True:
            self._call(self._client.stop_job, job_id)  # in each turn, since a job that is just starting misses it
            job = self.state(job_id)
            if not wait or job.has_ended:
                return job
            time.sleep(_POLL_S)

    def _call(self, request: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return request(*arguments)
        except Exception as error:  # requests and Ray raise many types
            raise CampaignError(
                f"the Ray cluster at {self.address} does not answer: {_server_message(error)}"
            ) from error

    # ---- new jobs ------------------------------------------------------------------------------------------------

    def submit(
        self,
        config_file: Path,
        config: CampaignConfig,
        overrides: Sequence[str],
        run_dir: Path,
        environment: JobEnvironment | None = None,
    ) -> Job:
        """Start or resume a campaign, unless a job of the same run is running already.

        Args:
            config_file: The config that ``al-loop run`` will read on the cluster; its folder travels.
            config: The valid configuration in it, overrides included.
            overrides: The changes to the config, each ``key=value``.
            run_dir: The run directory: an absolute path, as the cluster's head sees it.
            environment: What is installed and handed on; None: nothing.

        Returns:
            The new job, or the one that is running.

        Raises:
            ConfigError: The job would disclose a password, or lose the ledger or other files, or cannot travel, or
                the campaign's name is too long.
            CampaignError: The cluster refuses the job.
        """
        environment = environment or JobEnvironment()
        job_id = f"{config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        if len(job_id) > _LONGEST_ID:
            most = _LONGEST_ID - len(job_id) + len(config.name)
            raise ConfigError(f"name: {config.name!r:.40}... is too long for a job of Ray, at most {most} characters")
        refuse_secrets(config_file, config, overrides)
        refuse_lost_files(config_file, overrides)
        if environment.image is not None:
            refuse_lost_ledger(config)
        command = ["run", config_file.name, *overrides, "--run-dir", str(run_dir), "--address", "auto"]
        return self._submit(job_id, config_file, config, command, run_dir, environment)

    def submit_energy(
        self,
        config_file: Path,
        config: EnergyConfig,
        overrides: Sequence[str],
        data: Path,
        output: Path,
        environment: JobEnvironment | None = None,
    ) -> Job:
        """Learn an energy as a job, unless one that writes the same file is running already.

        Args:
            config_file: The config; its folder travels.
            config: The valid configuration in it, overrides included.
            overrides: The changes to the config, each ``key=value``.
            data: The file of objects: in the config's folder, or an absolute path that the cluster's head sees.
            output: The file to write: an absolute path, as the cluster's head sees it.
            environment: What is installed and handed on; None: nothing.

        Returns:
            The new job, or the one that is running.

        Raises:
            ConfigError: The job would disclose a password, or lack the data, or cannot travel.
            CampaignError: The cluster refuses the job.
        """
        refuse_secrets(config_file, config, overrides)
        folder = config_file.resolve().parent
        file = data.resolve()
        if file.is_relative_to(folder):
            name = str(file.relative_to(folder))
        elif data.is_absolute():
            name = str(data)
        else:
            raise ConfigError(
                f"{data}: the config's folder travels with the job, and this file is not in it; move it there, or give "
                "an absolute path as the cluster's head sees it"
            )
        job_id = f"{config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        command = ["learn-energy", config_file.name, name, *overrides, "-o", str(output), "--address", "auto"]
        return self._submit(job_id, config_file, config, command, output, environment or JobEnvironment())

    def _submit(
        self,
        job_id: str,
        config_file: Path,
        config: CampaignConfig | EnergyConfig,
        arguments: Sequence[str],
        run_dir: Path,
        environment: JobEnvironment,
    ) -> Job:
        """Start a job of an al-loop command, unless one of the same run directory or output is running."""
        running = self.running(run_dir)
        if running:
            return Job(running, is_new=False)
        config_file = config_file.resolve()
        package = pack(config_file, config) if environment.image is None else None
        command = ["python", "-m", "al_loop.cli", *arguments]
        entrypoint = shlex.join(command)
        if environment.image is not None:
            text, name = config_file.read_text(encoding="utf-8"), shlex.quote(config_file.name)
            entrypoint = f'cd "$(mktemp -d)" && printf %s {shlex.quote(text)} > {name} && exec {entrypoint}'
        with tempfile.TemporaryDirectory(prefix="al-loop-submit-") as staging, _quiet_client():
            self._start(
                job_id,
                entrypoint=entrypoint,
                runtime_env=runtime_env(package, environment, Path(staging)),
                metadata={RUN_KEY: str(run_dir), CAMPAIGN_KEY: config.name},
            )
        return Job(job_id, is_new=True, left_behind=package.left_behind if package else ())

    def _start(self, job_id: str, **description: Any) -> None:
        """Start a job, waiting for the agent of a head that is just starting."""
        started = time.monotonic()
        while True:
            try:
                self._client.submit_job(submission_id=job_id, **description)
                return
            except Exception as error:  # requests and Ray raise many types
                if _NO_AGENT not in str(error):
                    raise CampaignError(
                        f"the Ray cluster at {self.address} refused the job: {_server_message(error)}"
                    ) from error
                if time.monotonic() - started > _AGENT_WAIT_S:
                    raise CampaignError(
                        f"the Ray cluster at {self.address} takes no jobs: the agent of its head does not answer; "
                        "is another Ray on that machine using its port (ray start --dashboard-agent-listen-port)?"
                    ) from error
            time.sleep(_POLL_S)

    def follow(self, job_id: str, write: Callable[[str], None]) -> int:
        """Write what a job prints until it has ended.

        Args:
            job_id: The job's id.
            write: Called with each piece of the job's output.

        Returns:
            The exit code of the job's command; 143 where the job was stopped.

        Raises:
            CampaignError: Ray could not run the command, or the cluster has not answered five times in a row.
        """
        n_written = 0

        async def tail() -> None:
            nonlocal n_written
            skip = n_written  # a new connection begins with the first line again
            async for text in self._client.tail_job_logs(job_id):
                new, skip = text[skip:], max(skip - len(text), 0)
                if new:
                    write(new)
                    n_written += len(new)

        n_failures = 0
        while True:
            try:
                with _quiet_client():
                    asyncio.run(tail())
                job = state_of(self._client.get_job_info(job_id))
            except Exception as error:
                n_failures += 1
                if n_failures == _MAX_FAILURES_IN_A_ROW:
                    raise CampaignError(f"lost contact with the job {job_id}: {_server_message(error)}") from error
                time.sleep(_RETRY_S)
                continue
            n_failures = 0
            if job.has_ended:
                break
            time.sleep(_POLL_S)
        if job.exit_code is not None:
            return job.exit_code if job.exit_code >= 0 else 128 - job.exit_code
        if job.status == "stopped":
            return _EXIT_CODE_STOPPED
        if job.status == "succeeded":
            return 0
        raise CampaignError(f"the job {job_id} {job.status}: {job.message or 'Ray gives no reason'}")


def _connect(address: str) -> Any:
    """Return a client of a job server, with this machine's token if the server asks for one.

    Raises:
        ConfigError: Nothing answers there, or it is not a job server of Ray, or it refuses the token.
    """
    from ray.job_submission import JobSubmissionClient

    error: Exception | None = None
    token = find_token()
    for headers in ({}, *([token.headers] if token is not None else [])):
        try:
            with _without_environment(_OVERRIDING_VARIABLES):
                return JobSubmissionClient(address, headers=dict(headers))
        except Exception as refusal:  # requests and Ray raise many types
            error = refusal
            if not is_refused_token(refusal):
                break
    assert error is not None
    if is_refused_token(error):
        raise ConfigError(f"--address: {token_advice(address, token)}") from error
    raise ConfigError(
        f"--address: no Ray job server answers at {address} ({summary(error)}); "
        "is it the head's dashboard, and is its port open?"
    ) from error


def _server_message(error: Exception) -> str:
    """Return the message of an error in one line: the last line of a traceback of the job server."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]  # Ray's client appends a full stop
    return lines[-1][:300] if lines and "Traceback (most recent call last)" in lines[0] else summary(error)


@contextmanager
def _without_environment(names: Sequence[str]) -> Iterator[None]:
    saved = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


@contextmanager
def _quiet_client() -> Iterator[None]:
    """Keep Ray's client from logging every package that it uploads, and every connection that closes."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)
