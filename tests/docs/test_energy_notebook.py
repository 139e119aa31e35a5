"""The notebook on the energy of a series runs from beginning to end."""

import runpy
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "energy_of_a_series.py"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AL_LOOP_STEPS", "4")
    runpy.run_path(str(NOTEBOOK))
    printed = capsys.readouterr().out
    assert "AUC" in printed
    assert "of the draws are new" in printed
    assert (tmp_path / "energy.pt").exists()
