"""Campaigns to submit as jobs, and a stand-in for Ray's job server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import yaml

from al_loop.actors.jobs.package import JobPackage
from al_loop.actors.jobs.submit import Cluster
from al_loop.config import CampaignConfig, load_config

CONFIG = """
name: far
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "own_oracle:score"}
features: {kind: joined, parts: [{kind: one_hot}, {target: "own_features:Own"}]}
sampler: {policy: {target: "own_policy:Own"}, searches: [{target: "own_search:Own"}]}
constraints: [{target: "own_property:Own", max: 1}]
"""


SEQUENCE = (
    "name: far\nenvironment: {kind: sequence, alphabet: AC, length: 3}\noracle: {target: 'operator:length_hint'}\n"
)


def write(top: Path, *names: str, size: int = 1) -> None:
    """Create files of a given size in bytes, and their folders."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        with (top / name).open("wb") as file:
            file.truncate(size)


def campaign(folder: Path, target: str = "operator:length_hint") -> tuple[Path, CampaignConfig]:
    """Write a campaign to a folder; return its config file and its config."""
    folder.mkdir(exist_ok=True)
    (folder / "far.yaml").write_text(SEQUENCE.replace("operator:length_hint", target))
    return folder / "far.yaml", load_config(folder / "far.yaml")


def campaign_of(folder: Path, target: str) -> tuple[Path, CampaignConfig]:
    """Return the config file and the config of a campaign whose oracle need not exist."""
    config = CampaignConfig.model_validate(yaml.safe_load(CONFIG.replace("own_oracle:score", target)))
    (folder / "far.yaml").write_text("")
    return folder / "far.yaml", config


def config_of_parts() -> CampaignConfig:
    """Return a config whose parts are in modules that need not exist."""
    return CampaignConfig.model_validate(yaml.safe_load(CONFIG))


def uploaded(package: JobPackage, folder: Path) -> set[str]:
    """Return the names of the files in a config's folder that are uploaded."""
    with ZipFile(package.write_folder(folder)) as archive:
        return set(archive.namelist())


def job(**details: object) -> Any:
    """Return the details of a job, in the form of Ray's client."""
    from ray.job_submission import JobStatus

    status = JobStatus(details.pop("status", "FAILED"))
    defaults = {"job_id": None, "start_time": None, "end_time": None, "driver_exit_code": None, "metadata": None}
    return SimpleNamespace(**{**defaults, "submission_id": "far-1", "status": status, "message": "", **details})


class Recorder:
    """A stand-in for Ray's client that records the submitted command."""

    def __init__(self, jobs: Sequence[object] = ()) -> None:
        self.entrypoint, self._jobs = "", jobs

    def list_jobs(self) -> Sequence[object]:
        return self._jobs

    def submit_job(self, *, entrypoint: str, submission_id: str, **_: object) -> str:
        self.entrypoint = entrypoint
        return submission_id


def cluster_of(client: Any, address: str = "http://nowhere") -> Cluster:
    """Return a cluster that uses a stand-in for Ray's client."""
    cluster = Cluster.__new__(Cluster)
    cluster.address, cluster._client = address, client
    return cluster
