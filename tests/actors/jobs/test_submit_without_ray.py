"""The job server's client, with a stand-in for Ray's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from al_loop.actors.jobs.runtime_env import JobEnvironment
from al_loop.actors.jobs.submit import _server_message
from al_loop.errors import CampaignError, ConfigError
from tests.support.jobs import Recorder, cluster_of, config_of_parts, job


def test_with_an_image_the_config_travels_in_the_command(tmp_path: Path) -> None:
    text = 'name: far  # it\'s "quoted", $HOME and `x`, 100 %s\n'
    (tmp_path / "far it.yaml").write_text(text)
    cluster = cluster_of(Recorder())
    config = config_of_parts().model_copy(update={"ledger": "postgresql://h/d"})
    cluster.submit(tmp_path / "far it.yaml", config, ["a=b c"], Path("/shared/far"), JobEnvironment(image="me/own:1"))
    (tools := tmp_path / "tools").mkdir()
    (tools / "python").write_text(f'#!{sys.executable}\nimport sys\nprint(sys.argv[1:], open("far it.yaml").read())\n')
    (tools / "python").chmod(0o755)
    environment = {"PATH": f"{tools}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    printed = subprocess.run(
        ["/bin/sh", "-c", cluster._client.entrypoint], env=environment, capture_output=True, text=True, check=True
    ).stdout
    arguments = ["-m", "al_loop.cli", "run", "far it.yaml", "a=b c", "--run-dir", "/shared/far", "--address", "auto"]
    assert printed == f"{arguments} {text}\n"


def test_a_name_that_is_too_long_for_ray_is_refused(tmp_path: Path) -> None:
    config = config_of_parts()
    (tmp_path / "far.yaml").write_text("name: far\n")
    cluster = cluster_of(Recorder())
    longest = config.model_copy(update={"name": 217 * "a"})
    assert len(cluster.submit(tmp_path / "far.yaml", longest, (), Path("/shared/far")).id) == 240
    cluster._client = Recorder()
    with pytest.raises(ConfigError, match=r"^name: 'a+\.\.\. is too long .* 217 characters"):
        cluster.submit(tmp_path / "far.yaml", config.model_copy(update={"name": 218 * "a"}), (), Path("/shared/far"))
    assert not cluster._client.entrypoint


TRACEBACK = """Request failed with status code 500: Traceback (most recent call last):
  File "job_agent.py", line 45, in submit_job
    raise OSError("disk full")
OSError: disk full
."""


@pytest.mark.parametrize(
    ("text", "said"), [(TRACEBACK, "OSError: disk full"), ("no such job\nmore", "no such job"), ("", "RuntimeError")]
)
def test_the_last_line_of_the_job_servers_traceback_is_shown(text: str, said: str) -> None:
    assert _server_message(RuntimeError(text)) == said


class Unsteady:
    """A stand-in for Ray's client; connections break, ``n_broken`` of them after each one that holds."""

    def __init__(self, n_broken: int, n_lines: int) -> None:
        self._n_broken, self._n_lines, self._n_calls, self._n_held = n_broken, n_lines, 0, 0

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        self._n_calls += 1
        is_broken = self._n_calls % (self._n_broken + 1) > 0
        self._n_held += not is_broken
        yield "".join(f"line {i}\n" for i in range(self._n_held))
        if is_broken:
            raise ConnectionError("broken")

    def get_job_info(self, job_id: str) -> Any:
        has_ended = self._n_held == self._n_lines
        return job(status="SUCCEEDED" if has_ended else "RUNNING", driver_exit_code=0 if has_ended else None)


@pytest.mark.parametrize(("n_broken", "is_lost"), [(0, False), (1, False), (4, False), (5, True)])
def test_a_job_is_followed_until_five_connections_in_a_row_break(
    n_broken: int, is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("al_loop.actors.jobs.submit._POLL_S", 0.0)
    monkeypatch.setattr("al_loop.actors.jobs.submit._RETRY_S", 0.0)
    cluster = cluster_of(Unsteady(n_broken, n_lines=12))
    written: list[str] = []
    if is_lost:
        with pytest.raises(CampaignError, match="lost contact with the job far-1: broken"):
            cluster.follow("far-1", written.append)
    else:
        assert cluster.follow("far-1", written.append) == 0
        assert "".join(written) == "".join(f"line {i}\n" for i in range(12))


def test_a_campaigns_name_means_its_newest_job() -> None:
    def of(name: str, number: int) -> Any:
        return job(submission_id=f"{name}-{number}", start_time=number, metadata={"al_loop_campaign": name})

    cluster = cluster_of(Recorder([of("far", 1), of("far", 3), of("near", 2), job()]), "http://head")
    assert cluster.find("far").id == "far-3"
    assert cluster.find("far-1").id == "far-1"
    with pytest.raises(ConfigError, match=r"'far-1x' .*known there: far \(far-3, failed\), near \(near-2, failed\)$"):
        cluster.find("far-1x")
    with pytest.raises(ConfigError, match="neither a campaign nor a job"):
        cluster.find("")
