"""A campaign whose oracle crashes, hangs or starts programs on demand, locally and on Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from al_loop.campaign.executor import CallTimeout, OracleWorker
from al_loop.config import CampaignConfig, load_config
from al_loop.oracles.base import Call, Outcome
from tests.support.local_ray import start_ray

CONFIG = """
name: placed
seed: 5
environment: {kind: sequence, alphabet: ACGU, length: 6}
oracle: {target: "placed_oracle:measure"}
sampler: {steps: 6, batch_size: 16, hidden: 16, pool: 32, staleness: 2, shares: 2, searches: [{kind: genetic, size: 4}]}
rounds: {initial: 6, batch_size: 6, count: 2}
evaluation: {workers: 2, timeout_s: 20}
resources: {sampler: {count: 2, num_cpus: 0.5}, oracle: {num_cpus: 0.5}}
"""


ORACLE = """
import ctypes, os, subprocess, time

def measure(word):
    if word == "pid":
        return os.getpid()
    if word == "crash":
        os.kill(os.getpid(), 9)
    if word == "native":  # holds the interpreter while it sleeps
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        with open("native.part", "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        os.rename("native.part", "native.pid")
        ctypes.PyDLL(None).sleep(600)
    while word == "gate" and not os.path.exists("gate.file"):
        time.sleep(0.02)
    if word == "memory":
        held = bytearray(os.urandom(1)) * 1_000_000_000
        time.sleep(120)
    if word == "daemon":
        code = "import subprocess; print(subprocess.Popen(['sleep', '120'], start_new_session=True, stdout=2).pid)"
        pid = subprocess.run(["python3", "-c", code], stdout=subprocess.PIPE, text=True).stdout
        with open("child.pid", "w") as file:
            file.write(pid)
        time.sleep(120)
    if word == "hang":
        child = subprocess.Popen(["sleep", "120"])
        with open("child.pid", "w") as file:
            file.write(str(child.pid))
        time.sleep(120)
    return word.count("G") + 0.5 * word.count("GA")
"""


def oracle_text(text: str, folder: Path) -> str:
    """Return an oracle's source with the paths of its files in a folder."""
    for name in ("child.pid", "gate.file", "native.pid", "native.part"):
        text = text.replace(f'"{name}"', repr(str(folder / name)))
    return text


def placed_config(folder: Path) -> CampaignConfig:
    """Write a campaign and its oracle to a folder, which must be the working directory, and load the config."""
    module = f"placed_oracle_{folder.name.replace('-', '_')}"
    (folder / f"{module}.py").write_text(oracle_text(ORACLE, folder))
    (folder / "placed.yaml").write_text(CONFIG.replace("placed_oracle", module))
    return load_config("placed.yaml")


def changed(config: CampaignConfig, section: str, **changes: Any) -> CampaignConfig:
    """Return a config with some keys of a section changed."""
    content = getattr(config, section).model_dump()
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return config.model_copy(update={section: type(getattr(config, section)).model_validate(content)})


def call(worker: OracleWorker, objects: list[str], timeout_s: float) -> list[Outcome]:
    """Return the outcomes of a call."""
    return list(worker.call(objects, timeout_s, Call()))


def time_out(worker: OracleWorker, word: str, child: Path) -> int:
    """Let a call time out after its oracle has started a program, and return the program's process ID.

    Starting a program may take a while on a busy machine, so the call is repeated with longer time limits.

    Args:
        worker: makes the call.
        word: the object that makes the oracle start a program.
        child: the file to which the oracle writes the process ID.
    """
    for timeout_s in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
        with pytest.raises(CallTimeout):
            call(worker, [word], timeout_s)
        if child.is_file() and child.read_text():
            return int(child.read_text())
    raise AssertionError("the oracle did not start a program within the longest time limit, 64 s")


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(is_there: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 600
    while not is_there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_ended(pid: int) -> None:
    """Wait until a process that is not a child of this one has ended."""
    deadline = time.monotonic() + 600
    while is_running(pid):
        assert time.monotonic() < deadline, f"the process {pid} has not ended in ten minutes"
        time.sleep(0.05)


def length(objects: Any) -> Any:
    """Return the length of each object, as a reward."""
    import torch

    return torch.tensor([float(len(o)) for o in objects])


@contextmanager
def ray_cluster_in(home: Path) -> Iterator[None]:
    """Start Ray with its own home folder."""
    import ray

    saved = dict(os.environ)
    os.environ |= {"HOME": str(home), "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path(__file__).parents[2])}
    start_ray()
    try:
        yield
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(saved)
