"""A campaign as a Ray job: the same ``al-loop run`` on the cluster's head, with the user's modules beside it.

What travels: the folder of the config (without run directories, environments and large files), the modules of
``target:`` parts that lie elsewhere outside the installed packages, and al-loop itself. What must be on the cluster:
al-loop's dependencies, and storage that its head can write, where the run directory is kept. A run directory on the
head's own disk is lost with the head; put it on shared storage, or the ledger on PostgreSQL.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import shlex
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from al_loop.config import CampaignConfig, Part
from al_loop.errors import CampaignError, ConfigError

_OWN = ("al_loop", "actors", "oracles")
_EXCLUDES = (
    "runs/",
    ".git/",
    ".venv/",
    "venv/",
    "__pycache__/",
    "*.pyc",
    ".mypy_cache/",
    ".ruff_cache/",
    ".pytest_cache/",
)
_LARGEST_FILE = 50 * 2**20
_RUN_KEY = "al_loop_run"
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray lets them win over an address that is given


@dataclass(frozen=True)
class Job:
    """A Ray job that runs a campaign.

    is_new: False where a job of the same run was found running.
    left_behind: files too large to travel.
    """

    id: str
    is_new: bool
    left_behind: tuple[str, ...] = ()


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
                f"--address: no Ray job server answers at {address} ({_first_line(error)}); "
                "is it the head's dashboard, and is its port open?"
            ) from error

    def running(self, run_dir: Path) -> str | None:
        """The id of a job that runs the campaign of this run directory, if there is one."""
        for job in self._client.list_jobs():
            if (job.metadata or {}).get(_RUN_KEY) == str(run_dir) and str(job.status.value) not in _ENDED:
                return str(job.submission_id)
        return None

    def submit(self, config_file: Path, config: CampaignConfig, overrides: Sequence[str], run_dir: Path) -> Job:
        """Starts the campaign, or has it go on, unless a job of the same run is running already.

        Args:
            config_file: what ``al-loop run`` will read on the cluster; its folder travels.
            config: the same, read and valid.
            overrides: ``key=value`` each.
            run_dir: absolute, as the cluster's head sees it.

        Raises:
            CampaignError: the cluster refuses the job.
        """
        found = self.running(run_dir)
        if found:
            return Job(found, is_new=False)
        config_file = config_file.resolve()
        folder = config_file.parent
        large = _large_files(folder)
        command = ["python", "-m", "al_loop.cli", "run", config_file.name, *overrides]
        command += ["--run-dir", str(run_dir), "--address", "auto"]
        try:
            with tempfile.TemporaryDirectory(prefix="al-loop-submit-") as staging, _without_chatter():
                elsewhere = [_as_package(place, Path(staging)) for place in _modules_elsewhere(config, folder)]
                job_id = self._client.submit_job(
                    entrypoint=shlex.join(command),
                    submission_id=f"{config.name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}",
                    runtime_env={
                        "working_dir": str(folder),
                        "py_modules": [*_own_packages(), *elsewhere],
                        "excludes": [*_EXCLUDES, *(f"/{name}" for name in large)],
                    },
                    metadata={_RUN_KEY: str(run_dir), "al_loop_campaign": config.name},
                )
        except Exception as error:
            raise CampaignError(f"the Ray cluster at {self.address} refused the job: {_first_line(error)}") from error
        return Job(str(job_id), is_new=True, left_behind=tuple(large))

    def follow(self, job_id: str, write: Callable[[str], None]) -> int:
        """Hands on what the job prints until it has ended.

        Returns:
            The exit code of the job's command.

        Raises:
            CampaignError: Ray could not run the command, or the cluster has gone.
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
                asyncio.run(tail())
                job = self._client.get_job_info(job_id)
            except Exception as error:
                failures += 1
                if failures == 5:
                    raise CampaignError(f"lost sight of the job {job_id}: {_first_line(error)}") from error
                time.sleep(2.0)
                continue
            status = str(job.status.value)
            if status in _ENDED:
                break
            time.sleep(0.5)
        if job.driver_exit_code is not None:
            code = int(job.driver_exit_code)
            return code if code >= 0 else 128 - code
        if status == "SUCCEEDED":
            return 0
        raise CampaignError(f"the job {job_id} {status.lower()}: {_first_line(job.message or 'Ray gives no reason')}")


def _own_packages() -> list[str]:
    """The folders of al-loop itself, so that the cluster runs exactly what was submitted."""
    folders = []
    for name in _OWN:
        origin = importlib.import_module(name).__file__
        assert origin is not None, f"the package {name} has no folder"
        folders.append(str(Path(origin).parent))
    return folders


def _modules_elsewhere(config: CampaignConfig, folder: Path) -> list[Path]:
    """Modules and packages of ``target:`` parts that neither lie in the config's folder nor are installed."""
    sections = ("environment", "oracle", "features", "surrogate", "acquisition", "selector")
    parts: list[Part | None] = [getattr(config, section) for section in sections]
    names = {p.target.split(":")[0].split(".")[0] for p in (*parts, *config.constraints) if p is not None and p.target}
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib", "platstdlib")]
    found = []
    for name in sorted(names - set(_OWN)):
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec else []
        origin = spec.origin if spec else None
        place = Path(places[0] if places else origin or "").resolve()
        if place.exists() and not any(place.is_relative_to(known) for known in (folder, *installed)):
            found.append(place)
    return found


def _as_package(place: Path, staging: Path) -> str:
    """A module as a folder, the only form in which Ray's job API lets one travel: a file becomes a package."""
    if place.is_dir():
        return str(place)
    package = staging / place.stem
    package.mkdir()
    shutil.copyfile(place, package / "__init__.py")
    return str(package)


def _large_files(folder: Path) -> list[str]:
    """Files that Ray should not upload, relative to the folder."""
    skipped = {pattern.rstrip("/") for pattern in _EXCLUDES if pattern.endswith("/")}
    large = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in skipped]
        for name in names:
            path = Path(place, name)
            if path.is_file() and path.stat().st_size > _LARGEST_FILE:
                large.append(path.relative_to(folder).as_posix())
    return sorted(large)


@contextmanager
def _without_environment(names: Sequence[str]) -> Iterator[None]:
    saved = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Keeps Ray from logging every package that it uploads."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.INFO))
    try:
        yield
    finally:
        logging.disable(before)


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
