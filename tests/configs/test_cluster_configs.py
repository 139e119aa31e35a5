"""The files in `configs/cluster`: a manifest that KubeRay accepts, and a Slurm script that runs a real campaign."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from al_loop.analysis import open_run
from al_loop.errors import ConfigError

CLUSTER = Path(__file__).parents[2] / "configs" / "cluster"
SLURM = CLUSTER / "slurm.sh"
CONFIG = """
name: batch
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "batch_oracle:score"}
sampler: {steps: 2, batch_size: 8, pool: 16, hidden: 8}
rounds: {count: 1, batch_size: 1, initial: 6}
evaluation: {workers: 1, timeout_s: 60}
"""
ORACLE = """
import time

def score(word):
    with open("calls.txt", "a") as calls:
        calls.write(word + "\\n")
    time.sleep(1.5)
    return float(word.count("A"))
"""
SRUN = """#!/bin/bash
echo "$*" >> "$STEPS"
[[ "$*" == *--nodelist=node[12]* ]] || exit 1
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
if [[ "$1 $2" == "show hostnames" ]]; then printf 'node1\\nnode2\\n'; else echo "$*" >> "$STEPS"; fi
"""


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((CLUSTER / "rayjob.yaml").read_text()))
    found = {document["kind"]: document for document in documents}
    assert set(found) == {"PersistentVolumeClaim", "RayJob"}
    return found


@pytest.fixture(scope="module")
def spec(manifest: dict[str, Any]) -> dict[str, Any]:
    job = manifest["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    assert job["metadata"]["name"]
    return dict(job["spec"])


def pods(spec: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = spec["rayClusterSpec"]
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def test_the_manifest_has_what_kuberay_requires(spec: dict[str, Any]) -> None:
    workers = spec["rayClusterSpec"]["workerGroupSpecs"]
    assert len({group["groupName"] for group in workers}) == len(workers) == 2
    for group in workers:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (spec["rayClusterSpec"]["headGroupSpec"], *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    for pod in pods(spec):
        (container,) = pod["containers"]
        assert container["name"]
        assert container["image"]
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
    assert [bool(pod["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")) for pod in pods(spec)] == [
        False,
        False,
        True,
    ]


def test_every_pod_sees_the_run_and_the_campaign_and_the_head_the_password(
    manifest: dict[str, Any], spec: dict[str, Any]
) -> None:
    claim = manifest["PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for pod in pods(spec):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["/shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert "configMap" in mounts["/campaign"]
    head = {variable["name"]: variable for variable in pods(spec)[0]["containers"][0]["env"]}
    assert set(head["PGPASSWORD"]["valueFrom"]["secretKeyRef"]) >= {"name", "key"}
    assert "value" not in head["PGPASSWORD"]


def test_the_manifests_command_is_one_of_ours(spec: dict[str, Any]) -> None:
    program, command, config, *options = spec["entrypoint"].split()
    assert (program, command) == ("al-loop", "run")
    assert config.startswith("/campaign/")
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert given["--address"] == "auto"
    assert given["--run-dir"].startswith("/shared/")
    assert spec["metadata"]["al_loop_run"] == given["--run-dir"], "al-loop status, logs and stop find it by this"
    assert spec["metadata"]["al_loop_campaign"]


def test_the_versions_of_ray_are_the_pinned_one(spec: dict[str, Any]) -> None:
    pins = (CLUSTER.parents[1] / "constraints.txt").read_text()
    (pinned,) = re.findall(r"^ray==(.+)$", pins, re.MULTILINE)
    assert spec["rayClusterSpec"]["rayVersion"] == pinned


def test_the_image_is_built_from_files_that_are_there() -> None:
    lines = (CLUSTER / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"al_loop", "actors", "oracles", "pyproject.toml", "requirements.txt"} <= set(copied)
    assert [name for name in copied if not (CLUSTER.parents[1] / name).exists()] == []


def test_commands_that_the_guide_names_exist() -> None:
    from typer.main import get_command

    from al_loop.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]
    blocks = re.findall(r"^```bash\n(.*?)^```", (CLUSTER / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    used = [match.groups() for line in lines if (match := re.match(r"al-loop (\S+)(.*)", line))]
    assert {name for name, _ in used} >= {"submit", "status", "logs", "stop"}
    for name, rest in used:
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest)) <= options, (name, rest)


# ---- Slurm -------------------------------------------------------------------------------------------------------


class Allocation:
    """Two "nodes" on this machine: srun and scontrol that do here what Slurm's do there."""

    def __init__(self, folder: Path, job_id: int) -> None:
        self.folder, self.job_id = folder, job_id
        self.temp_dir = Path(f"/tmp/ray-{job_id}")
        tools = folder / "tools"
        tools.mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (folder / "batch.yaml").write_text(CONFIG)
        (folder / "batch_oracle.py").write_text(ORACLE)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "SLURM_", "AL_LOOP_"))}
        self.environment |= {
            "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "STEPS": str(folder / "steps.txt"),
            "SLURM_JOB_ID": str(job_id),
            "SLURM_JOB_NODELIST": "node[1-2]",
            "SLURM_CPUS_PER_TASK": "1",
            "AL_LOOP_RAY_OPTIONS": "--object-store-memory=100000000",
        }

    def start(self) -> subprocess.Popen[str]:
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(
                ["bash", str(SLURM), "batch.yaml", "--run-dir", "run"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def steps(self) -> list[str]:
        return (self.folder / "steps.txt").read_text().splitlines()

    def answered(self) -> list[str]:
        with suppress(ConfigError), open_run(self.folder / "run") as run:
            return list(run.evaluations["object"])
        return []

    def processes(self) -> list[psutil.Process]:
        """What Ray has running for this job, found by its folder or its port."""
        marks = (str(self.temp_dir), f":{20000 + self.job_id % 10000}")
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(mark in " ".join(process.info["cmdline"] or ()) for mark in marks):
                found.append(process)
        return found


@pytest.fixture
def allocation(tmp_path: Path) -> Iterator[Allocation]:
    made = Allocation(tmp_path, 70000 + free_offset())
    try:
        yield made
    finally:
        for process in made.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(made.temp_dir, ignore_errors=True)


def free_offset() -> int:
    """Of a port above 20000 that is free."""
    for offset in range(os.getpid() % 9000, 10000):
        with socket.socket() as s, suppress(OSError):
            s.bind(("", 20000 + offset))
            return offset
    raise AssertionError("no port is free")


@pytest.mark.slow
def test_the_slurm_script_runs_a_campaign_over_two_nodes_and_goes_on_after_its_time_is_up(
    allocation: Allocation,
) -> None:
    first = allocation.start()
    ends = time.monotonic() + 600
    while len(allocation.answered()) < 2:
        assert first.poll() is None, allocation.log
        assert time.monotonic() < ends, allocation.log
        time.sleep(0.2)
    first.send_signal(signal.SIGUSR1)  # as Slurm does a while before the time limit
    assert first.wait(timeout=600) == 143, allocation.log
    assert "2 of 2 nodes have joined" in allocation.log
    *started, last = allocation.steps
    assert sorted(re.findall(r"--nodelist=(\w+)", " ".join(started))) == ["node1", "node2"]
    assert last == f"requeue {allocation.job_id}"
    psutil.wait_procs(allocation.processes(), timeout=30)
    assert allocation.processes() == []
    assert not allocation.temp_dir.exists()
    before = allocation.answered()
    asked = (allocation.folder / "calls.txt").read_text().split()

    again = allocation.start()
    assert again.wait(timeout=600) == 0, allocation.log
    assert len(allocation.steps) == 5, "it is not requeued when it is done"
    with open_run(allocation.folder / "run") as run:
        assert run.status().state == "finished"
    after = allocation.answered()
    assert after[: len(before)] == before
    assert len(after) == len(set(after)) == 7
    called = (allocation.folder / "calls.txt").read_text().split()
    assert set(called[: len(asked)]) & set(called[len(asked) :]) <= {asked[-1]}, "only what was in flight"


def test_the_slurm_script_is_bash_and_says_how_it_is_used(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    environment = {"PATH": os.environ["PATH"]}
    alone = subprocess.run(["bash", str(SLURM)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert alone.returncode == 2
    assert alone.stderr.startswith("usage: sbatch")
    outside = subprocess.run(["bash", str(SLURM), "x.yaml"], env=environment, capture_output=True, text=True)
    assert outside.returncode != 0
    assert "start this script with sbatch" in outside.stderr
