"""A campaign as a job of a real Ray head, from a folder outside the project."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from al_loop.analysis import open_run
from al_loop.cli import app
from al_loop.errors import ConfigError
from tests.support.ports import free_port

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
CONFIG = """
name: far
environment: {kind: sequence, alphabet: ACGU, length: 5}
oracle: {target: "far_oracle:far_score"}
sampler: {steps: 2, batch_size: 8, pool: 16, hidden: 8}
rounds: {count: 1, batch_size: 3, initial: 3}
evaluation: {workers: 1, timeout_s: 60}
"""


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
        deadline = time.monotonic() + 600
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
        process.wait(timeout=600)
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
    """A user's folder with a config and an oracle of their own, and another oracle below ``src``."""
    folder = tmp_path_factory.mktemp("far") / "work"
    folder.mkdir()
    (folder / "far.yaml").write_text(CONFIG)
    (folder / "far_oracle.py").write_text(
        "import os\ndef far_score(word):\n    return float(word.count('A')) + float(os.environ.get('FAR_BONUS', 0))\n"
    )
    (folder / "src").mkdir()
    (folder / "src" / "slow_oracle.py").write_text(
        "import time\ndef slow(word, calls):\n    open(calls, 'a').write(word + '\\n')\n    time.sleep(0.7)\n"
        "    return 1.0\n"
    )
    return folder


@pytest.fixture
def al_loop(head: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command for the head's jobs in the user's folder; in this process, which is quicker."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")  # of another cluster, as users have it
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder / "src"))
    return lambda *words: CliRunner().invoke(app, [*words, "--address", head])


def wait_for_answers(run_dir: Path, n: int) -> None:
    ends = time.monotonic() + 600
    while True:
        with suppress(ConfigError), open_run(run_dir) as run:
            if run.status().answered >= n:
                return
        assert time.monotonic() < ends, f"{run_dir} has had no {n} answers in ten minutes"
        time.sleep(0.1)


def test_a_job_runs_to_its_end_with_what_it_was_handed(
    folder: Path, al_loop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAR_BONUS", "100")
    first = al_loop("submit", "far.yaml", "--follow", "--env", "FAR_BONUS")
    assert first.exit_code == 0, first.output
    assert "round 1 | calls 6" in first.output
    assert not first.stderr
    with open_run(folder / "runs" / "far") as run:
        assert run.status().state == "finished"
        assert set(run.evaluations["worker"]) == {"ray-0"}
        assert run.best(1)["far_score"].item() >= 100


def test_a_job_uses_the_users_own_oracles_and_actors_beside_al_loops(
    folder: Path, al_loop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the job's driver and in its actors; al_loop.oracles is there without a top-level package of that name."""
    (own := folder.parent / "own").mkdir()
    (own / "oracles.py").write_text(
        "from actors.words import count\nfrom al_loop.oracles.base import Oracle\n\n"
        "class Mine(Oracle):\n    def evaluate(self, words):\n        return [count(word) for word in words]\n"
    )
    (own / "actors").mkdir()
    (own / "actors" / "words.py").write_text("def count(word):\n    return float(word.count('A'))\n")
    (own / "far.yaml").write_text(CONFIG.replace("far_oracle:far_score", "oracles:Mine"))
    monkeypatch.chdir(own)
    for name in [name for name in sys.modules if name.split(".")[0] in ("actors", "oracles")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(own))  # the root of the checkout, which has such folders, is on the path, too
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).resolve() != ROOT])
    done = al_loop("submit", "far.yaml", "name=own", "--follow", "--run-dir", str(folder / "runs" / "own"))
    assert done.exit_code == 0, done.output
    with open_run(folder / "runs" / "own") as run:
        assert run.status().answered == 6


def test_a_killed_job_goes_on_when_it_is_submitted_again(folder: Path, al_loop: Callable[..., Result]) -> None:
    """Also: a running job is joined, and a module below ``src`` travels, where a job does not look for modules."""
    run_dir, calls = folder / "runs" / "slow", folder / "calls.txt"
    words = ("submit", "far.yaml", "name=slow", "oracle.target=slow_oracle:slow", f"oracle.calls={calls}")
    first = al_loop(*words)
    assert first.exit_code == 0, first.output
    joined = al_loop(*words)
    assert "already running" in joined.output
    wait_for_answers(run_dir, 1)
    with open_run(run_dir) as run:
        before = set(run.evaluations["object"])
    os.kill(int((run_dir / "lock").read_text().split()[1]), signal.SIGKILL)
    log = al_loop("logs", "slow", "--follow")
    assert log.exit_code == 137, log.output
    assert "with exit code 137" in al_loop("status", "slow").output
    asked = len(calls.read_text().split())

    second = al_loop(*words, "--follow")
    assert second.exit_code == 0, second.output
    assert "round 1 | calls 6" in second.output
    with open_run(run_dir) as run:
        assert run.status().state == "finished"
        objects = list(run.evaluations["object"])
    assert len(objects) == len(set(objects)) == 6
    assert before <= set(objects)
    called = calls.read_text().split()
    assert set(called[:asked]) & set(called[asked:]) <= {called[asked - 1]}, "only what was in flight is asked again"


def test_a_job_is_watched_and_stopped(head: str, folder: Path, al_loop: Callable[..., Result]) -> None:
    words = [sys.executable, "-m", "al_loop.cli", "submit", "far.yaml", "--address", head, "--follow"]
    words += ["name=long", "oracle.target=slow_oracle:slow", f"oracle.calls={folder / 'long.txt'}"]
    words += ["rounds.initial=100"]
    path = os.pathsep.join(sys.path)
    with subprocess.Popen(
        words,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        shown = follower.stdout.readline()
        wait_for_answers(folder / "runs" / "long", 1)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=600) == 130
        assert follower.stderr.read().startswith("interrupted: if the job was submitted, it keeps running")
    job_id = shown.split()[1].rstrip(";")
    now = al_loop("status", "long").output
    assert "running" in now
    assert job_id in now
    assert f"{folder}/runs/long on the cluster" in " ".join(now.split())
    assert "far.yaml name=long" in now  # the last lines of its log

    told = al_loop("stop", job_id)
    assert (told.exit_code, told.output.count("\n")) == (0, 1), told.output
    assert "has ended: stopped; the same al-loop submit resumes it" in told.output
    log = al_loop("logs", "long")
    assert log.exit_code == 0
    assert "ended by SIGTERM: every answer that arrived is safe" in log.output
    assert al_loop("logs", "long", "-f").exit_code == 143
    again = al_loop("stop", "long")
    assert (again.exit_code, again.output) == (0, f"long (job {job_id}) has already ended: stopped\n")


@pytest.mark.parametrize("words", [("status",), ("logs",), ("logs", "-f"), ("stop",)])
def test_a_typo_in_a_name_is_one_clear_line(words: tuple[str, ...], al_loop: Callable[..., Result]) -> None:
    done = al_loop(*words, "slwo")
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1, done.output
    assert "did you mean 'slow'?" in done.output
    assert "far (far-" in done.output


def test_a_head_whose_agent_is_not_there_yet_is_waited_for(
    al_loop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's answer is that of a head whose agent port is held by another Ray."""
    from ray.job_submission import JobSubmissionClient

    submit, n_calls = JobSubmissionClient.submit_job, 0

    def slowly(*words: object, **what: object) -> str:
        nonlocal n_calls
        n_calls += 1
        if n_calls == 1 or patience == 0:
            raise RuntimeError("Request failed with status code 500: No available agent to submit job, please try ...")
        return submit(*words, **what)

    patience = 60.0
    monkeypatch.setattr(JobSubmissionClient, "submit_job", slowly)
    done = al_loop("submit", "far.yaml", "name=early", "--follow")
    assert done.exit_code == 0, done.output
    assert n_calls == 2

    patience = 0.0
    monkeypatch.setattr("al_loop.actors.jobs.submit._AGENT_WAIT_S", patience)
    done = al_loop("submit", "far.yaml", "name=never")
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1, done.output
    assert "takes no jobs: the agent of its head does not answer" in done.output


def test_the_jobs_failure_is_the_commands_failure(al_loop: Callable[..., Result]) -> None:
    done = al_loop("submit", "far.yaml", "--follow", "--run-dir", "/proc/no/run")
    assert done.exit_code == 2, done.output
    assert "cannot write to the run directory /proc/no/run" in done.output


def test_a_password_does_not_leave_this_machine(al_loop: Callable[..., Result]) -> None:
    done = al_loop("submit", "far.yaml", "name=told", "ledger=postgresql://me:hunter2@host/db")
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1, done.output
    assert "PGPASSWORD" in done.output
    assert "hunter2" not in done.output
    assert "told (" not in al_loop("status", "told").output


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:8265", "ray://127.0.0.1:10001"])
@pytest.mark.parametrize("words", [("submit", "far.yaml"), ("logs", "far"), ("stop", "far"), ("status", "far")])
def test_an_address_that_does_not_answer_is_one_clear_line(
    words: tuple[str, ...], address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, [*words, "--address", address])
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1, done.output
    assert address in done.output
