"""A campaign as a job of a real Ray head, from a folder outside the project."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.analysis import open_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CONFIG = """
name: far
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "far_oracle:far_score"}
sampler: {steps: 2, batch_size: 8, pool: 16, hidden: 8}
rounds: {count: 1, batch_size: 3, initial: 3}
evaluation: {workers: 1, timeout_s: 60}
resources: {sampler_cpus: 0.5, oracle_cpus: 0.5}
"""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a Ray head's job server; all of its processes are of one session, which is ended at the end."""
    home = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # short: AF_UNIX paths have 107 characters at most
    dashboard = free_port()
    tools = Path(sys.executable).parent
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHONPATH"))}
    environment |= {"HOME": str(home), "RAY_AUTH_MODE": "disabled", "PATH": f"{tools}:{os.environ['PATH']}"}
    command = [tools / "ray", "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={dashboard}"]
    command += ["--include-dashboard=true", "--num-cpus=2", "--disable-usage-stats", f"--temp-dir={home}/t"]
    command += ["--ray-client-server-port", str(free_port()), "--dashboard-agent-listen-port", str(free_port())]
    command += ["--object-store-memory=100000000"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{dashboard}"
        deadline = time.monotonic() + 60
        while not _answers(address):
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.5)
        yield address
    finally:
        family = _family(process.pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in family:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            time.sleep(2 if number == signal.SIGTERM else 0)
        process.wait(timeout=20)
        shutil.rmtree(home, ignore_errors=True)


def _answers(address: str) -> bool:
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{address}/api/version", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _family(pid: int) -> list[int]:
    """The process and all of its descendants."""
    import psutil

    try:
        parent = psutil.Process(pid)
        return [pid, *(child.pid for child in parent.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with a config and an oracle of their own, and a helper package that lies elsewhere."""
    top = tmp_path_factory.mktemp("far")
    folder = top / "work"
    folder.mkdir()
    (folder / "far.yaml").write_text(CONFIG)
    (folder / "far_oracle.py").write_text("import os\ndef far_score(word):\n    return float(word.count('A'))\n")
    (top / "slow").mkdir()
    (top / "slow" / "slow_oracle.py").write_text("import time\ndef slow(word):\n    time.sleep(3)\n    return 1.0\n")
    return folder


def submit(folder: Path, address: str, *more: str, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_ADDRESS": "http://127.0.0.1:1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "al_loop.cli", "submit", "far.yaml", "--address", address, *more]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def test_a_job_runs_to_its_end_and_is_then_finished(head: str, folder: Path) -> None:
    first = submit(folder, head, "--follow")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "round 1 | calls 6" in first.stdout
    with open_run(folder / "runs" / "far") as run:
        assert run.status().state == "finished"
        assert set(run.evaluations["worker"]) == {"ray-0"}
    again = submit(folder, head, "--follow")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "is finished" in again.stdout


def test_a_running_job_is_joined_and_modules_from_elsewhere_travel(head: str, folder: Path) -> None:
    more = ("oracle.target=slow_oracle:slow", "--run-dir", str(folder / "runs" / "slow"))
    path = str(folder.parent / "slow")
    first = submit(folder, head, *more, path=path)
    assert first.returncode == 0, first.stdout + first.stderr
    second = submit(folder, head, *more, "--follow", path=path)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "running already" in second.stdout
    assert "round 1 | calls 6" in second.stdout


def test_the_jobs_failure_is_the_commands_failure(head: str, folder: Path) -> None:
    done = submit(folder, head, "--follow", "--run-dir", "/proc/no/run")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "cannot write to the run directory /proc/no/run" in done.stdout


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:8265", "ray://127.0.0.1:10001"])
def test_an_address_that_does_not_answer_is_one_clear_line(address: str, folder: Path) -> None:
    done = submit(folder, address)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert address in done.stderr
