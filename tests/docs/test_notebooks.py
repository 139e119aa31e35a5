"""The notebooks that need no run of the reader's own execute as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def output(name, tmp_path):
    """Return the lines that a notebook prints."""
    notebook = str(ROOT / "notebooks" / name)
    environment = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, notebook], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_why_gflownets_executes_and_its_sampler_is_right(tmp_path):
    l1 = next(line for line in output("why_gflownets.py", tmp_path) if line.startswith("L1 distance"))
    assert float(l1.rpartition(": ")[2]) < 0.3


@pytest.mark.slow
def test_latent_structure_executes_and_reaches_exact_em(tmp_path):
    lines = output("latent_structure.py", tmp_path)
    last = next(line for line in lines if line.startswith("GFlowNet-EM is"))
    assert float(last.split()[2]) < 0.01


@pytest.mark.slow
def test_language_models_executes_and_keeps_the_distribution(tmp_path):
    lines = output("language_models.py", tmp_path)
    gflownet, reinforce = (float(line.split("= ")[1].split()[0]) for line in lines if line.startswith("KL(sampler"))
    assert gflownet < 0.05 < 1 < reinforce
