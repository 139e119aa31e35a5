"""The notebooks that need no run of the reader's own execute as they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from al_loop.analysis.notebook import as_notebook

ROOT = Path(__file__).parents[2]


def output(name, tmp_path):
    """Return the lines that a notebook prints."""
    notebook = str(ROOT / "notebooks" / name)
    environment = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, notebook], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


EXECUTED = sorted((ROOT / "docs/executed").glob("*.ipynb"))


def test_the_notebooks_of_the_site_have_outputs():
    names = {path.stem for path in EXECUTED}
    assert {"analyse_a_run", "plug_in_your_oracle", "lab_in_the_loop", "why_gflownets"} <= names


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_an_executed_notebook_is_the_present_one(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    kept = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    source = (ROOT / f"notebooks/{path.stem}.py").read_text(encoding="utf-8")
    present = [c["source"] for c in as_notebook(source)["cells"] if c["cell_type"] == "code"]
    remedy = f"the notebook changed: python docs/execute_notebooks.py {path.stem}"
    assert [text.strip() for text in kept] == [text.strip() for text in present], remedy
    assert any(cell.get("outputs") for cell in cells)


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
