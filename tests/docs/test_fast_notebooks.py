"""The notebooks that take seconds execute as they are, and print what they say."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def execute(tmp_path, monkeypatch, capsys):
    def run(name):
        monkeypatch.chdir(tmp_path)
        cells = runpy.run_path(str(NOTEBOOKS / f"{name}.py"), run_name="notebook")
        return cells, capsys.readouterr().out

    return run


def test_plug_in_your_oracle(execute):
    cells, printed = execute("plug_in_your_oracle")
    assert "tryptophan quenches the signal" in printed
    assert "After 40 calls" in printed
    assert cells["campaign"].evaluations["glycines"].notna().all()


def test_lab_in_the_loop(execute):
    cells, printed = execute("lab_in_the_loop")
    assert "8 answers, 1 failed, 4 pending" in printed
    assert "about five" in printed
    assert len(cells["lab"].evaluations) == 12 + 1 + 8
    assert cells["lab"].best(1).iloc[0]["object"] == cells["best"]["object"] or len(cells["lab"].best(1)) == 1
