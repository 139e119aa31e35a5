"""A run as one object, on a small synthetic campaign."""

import os
import subprocess
import sys
from pathlib import Path

from al_loop.analysis import Run, open_run
from al_loop.ledger import Answer, Ledger, Proposal
from al_loop.oracles.base import Objective, Outcome
from tests.support.synthetic_run import START

ROOT = Path(__file__).parents[3]


def test_a_run_without_answers_has_empty_tables_and_figures(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        ledger.begin_campaign(
            name="young", config={}, fingerprint="f", seed=0, objectives=[Objective("gap")], versions={}
        )
        run = open_run(tmp_path)
        assert run.status().state == "not started"
        assert run.evaluations.empty
        assert run.rounds.empty
        assert run.best().empty
        assert run.plot_progress().axes[0].texts[0].get_text() == "nothing measured yet"
        assert "young" in run._repr_html_()
        (only,) = ledger.open_round(0, [Proposal("C", "random")], seed=0, seconds={}, info={})
        failed = Outcome.failed("invalid", "no molecule")
        ledger.commit_answers([Answer(only.id, failed, "w", START, START)])
        assert run.evaluations["failure"].tolist() == ["invalid"]  # the same Run sees what came later
        run.plot_progress()
        run.plot_calibration()


def test_html_escapes_what_the_user_wrote(run: Run) -> None:
    text = run._repr_html_()
    assert "demo" in text
    assert "&lt;C" in text
    assert "<C" not in text
    assert "finished" in repr(run)


def test_analysis_loads_neither_torch_nor_ray(folder: Path) -> None:
    program = (
        "import sys; from al_loop import open_run; run = open_run(sys.argv[1]); run.plot_progress(); run.status();"
        "run.plot_calibration(); run._repr_html_(); print([m for m in ('torch', 'ray', 'rdkit', 'matplotlib.pyplot') "
        "if m in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(folder)]
    assert subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_notebook_runs_as_a_script(folder: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AL_LOOP_RUN": str(folder),
        "AL_LOOP_FIGURES": str(tmp_path),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "notebooks" / "analyse_a_run.py")]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "demo: finished, 4 rounds closed, 48 oracle calls" in result.stdout
    assert "more than 60 s" in result.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"progress.png", "calibration.png"}
