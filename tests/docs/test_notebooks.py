"""The notebooks that need no run of the reader's own execute as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_why_gflownets_executes_and_its_sampler_is_right(tmp_path):
    notebook = str(ROOT / "notebooks" / "why_gflownets.py")
    environment = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, notebook], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    l1 = next(line for line in done.stdout.splitlines() if line.startswith("L1 distance"))
    assert float(l1.rpartition(": ")[2]) < 0.3
