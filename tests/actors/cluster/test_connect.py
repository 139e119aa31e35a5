"""A Ray that al-loop starts is reached from this machine alone, and by its token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ray._common.utils import get_ray_address_file

from al_loop.actors.cluster.connect import _is_running, connect
from al_loop.errors import ConfigError
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os
import psutil, ray
from al_loop.actors.cluster.connect import connect

connect("local", num_cpus=1, configure_logging=False)
assert ray.get(ray.remote(lambda: 42).remote()) == 42
mine = {process.pid for process in psutil.Process().children(recursive=True)} | {os.getpid()}
listening = [c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.pid in mine]
print(len(listening) > 3, *sorted({ip.removeprefix("::ffff:") for ip in listening}), os.environ["RAY_AUTH_MODE"],
      len(os.environ["RAY_AUTH_TOKEN"]))
ray.shutdown()
"""


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_at_which_nothing_answers_is_refused_at_once(scheme: str) -> None:
    address = f"{scheme}127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=rf"^--address: no Ray cluster answers at '{address}' \(Connection refused\)"):
        connect(address)


@pytest.mark.parametrize(
    "address", ["head", "head:", "head:six", "ray://head", ":6379", "head:70000", "tcp://head:6379"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="is not the address of a Ray cluster, such as HOST:6379 or auto"):
        connect(address)


def test_the_address_of_a_job_server_is_told_from_that_of_a_cluster() -> None:
    with pytest.raises(ConfigError, match=r"--address: 'http://head:8265' is the address of a job server, which `al-l"):
        connect("http://head:8265")


def test_the_address_in_the_environment_is_checked_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match=r"^RAY_ADDRESS: no Ray cluster answers"):
        connect("auto")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert not _is_running()


def test_the_address_that_a_killed_cluster_left_behind_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)  # other tests may run clusters
    file = Path(get_ray_address_file(None))
    file.parent.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("", 0)) as server:
        file.write_text(f"127.0.0.1:{server.getsockname()[1]}")
        assert _is_running()
    assert not _is_running()
    file.unlink()
    assert not _is_running()


@pytest.mark.slow
def test_a_ray_that_is_started_here_listens_on_loopback_and_asks_for_a_token(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    variables |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "127.0.0.1", "token", "64"]
