import json

import pytest

from tests.support.command_line import call
from tests.support.molecule_run import fill


@pytest.fixture
def run(tmp_path):
    return fill(tmp_path / "it's a run")


@pytest.mark.slow
def test_the_notebook_of_a_run_executes(run, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    assert call("notebook", str(run), "--no-open")[0] == 0
    content = json.loads((run / "analysis.ipynb").read_text())
    code = "\n".join(cell["source"] for cell in content["cells"] if cell["cell_type"] == "code")
    cells = {"__name__": "notebook"}
    exec(compile(code, "analysis.ipynb", "exec"), cells)
    assert (run / "progress.png").exists()
    assert cells["run"].name == "demo"


def test_a_notebook_names_the_run_and_is_never_replaced(run):
    code, output, _ = call("notebook", str(run), "--no-open")
    path = run / "analysis.ipynb"
    assert (code, output) == (0, f"written: {path}\n")
    content = json.loads(path.read_text())
    assert repr(str(run)) in "".join(cell["source"] for cell in content["cells"])
    assert [cell["cell_type"] for cell in content["cells"][:2]] == ["markdown", "code"]
    assert content["cells"][0]["source"].startswith("# Analyse a run")
    path.write_text(json.dumps({**content, "mine": True}))
    assert "stays as it is" in call("notebook", str(run), "--no-open")[1]
    assert json.loads(path.read_text())["mine"]


def test_without_jupyter_one_line_says_what_to_do(run, monkeypatch, tmp_path):
    monkeypatch.setattr("al_loop.cli.notebook.find_spec", lambda name: None)
    output = call("notebook", str(run), "-o", str(tmp_path / "n.ipynb"))[1]
    assert "pip install jupyterlab" in output.splitlines()[1]


def test_jupyter_is_started_with_the_file(run, monkeypatch):
    started = []
    monkeypatch.setattr("al_loop.cli.notebook.find_spec", lambda name: name == "notebook")
    monkeypatch.setattr("al_loop.cli.notebook.subprocess.call", started.append)
    call("notebook", str(run))
    assert started[0][1:] == ["-m", "jupyter", "notebook", str(run / "analysis.ipynb")]


def test_what_is_no_run_or_no_notebook_is_refused(run, tmp_path):
    assert call("notebook", str(tmp_path / "nowhere"))[0] == 2
    (tmp_path / "mine.ipynb").write_text("text")
    code, _, errors = call("notebook", str(run), "-o", str(tmp_path / "mine.ipynb"))
    assert code == 2
    assert "no notebook" in errors[0]
