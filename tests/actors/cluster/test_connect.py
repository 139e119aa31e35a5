"""A Ray that al-loop starts is reached from this machine alone, and by its token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_a_ray_that_is_started_here_listens_on_loopback_and_asks_for_a_token(tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    variables |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "127.0.0.1", "token", "64"]
