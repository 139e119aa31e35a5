"""Run directories written by commit 9dda6e4 can still be read and resumed.

``words`` had finished two rounds, ``fidelities`` was killed in the middle of a round.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.golden import golden

pytestmark = pytest.mark.slow

NAMES = ("words", "fidelities")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a user's folder with the configs, and with runs copied from another machine."""
    golden.copy_campaigns(tmp_path)
    for name in NAMES:
        shutil.copytree(golden.RUNS / name, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_runs_hold_their_files_and_name_no_place_of_the_machine_that_made_them() -> None:
    for name in NAMES:
        run = golden.RUNS / name
        assert (run / "ledger.db").is_file()
        assert (run / "checkpoints/round-00001.pt").is_file()
        assert json.loads((run / "campaign.json").read_text())["folders"] == ["/home/golden/campaigns"] * 2
    assert sum(path.stat().st_size for path in golden.RUNS.rglob("*") if path.is_file()) < 400_000


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_run_shows_its_status(name: str, project: Path) -> None:
    expected = json.loads((golden.RUNS / f"{name}_status.json").read_text())
    code, out, err = golden.call("status", f"runs/{name}")
    assert (code, err) == (0, "")
    assert f"{expected['name']}, {expected['status']['state']}" in out
    assert expected["status"]["best_object"] in out


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_run_opens_with_what_it_held(name: str, project: Path) -> None:
    expected = json.loads((golden.RUNS / f"{name}_status.json").read_text())
    assert golden.missing(expected, golden.status(project / "runs" / name)) == []


@pytest.mark.parametrize("table", golden.TABLES)
@pytest.mark.parametrize("name", NAMES)
def test_a_kept_run_exports_what_it_exported(name: str, table: str, project: Path) -> None:
    expected = golden.RUNS / f"{name}_{table}.csv"
    code, _, err = golden.call("export", f"runs/{name}", "--table", table, "--output", "table.csv")
    assert (code, err) == (0, "")
    columns = golden.columns(expected)
    assert golden.rows(project / "table.csv", columns) == golden.rows(expected, columns)


def test_a_run_keeps_its_files_where_it_kept_them(finished: Callable[[str], Path]) -> None:
    run = finished("words")
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert files >= {
        "campaign.json",
        "ledger.db",
        "lock",
        "checkpoints/campaign",
        "checkpoints/round-00002.pt",
        "checkpoints/round-00003.pt",
        "artifacts/000005/trace.txt",
    }
    assert json.loads((run / "campaign.json").read_text()).keys() >= {"ledger", "folders"}


def test_a_kept_run_still_has_the_files_that_came_with_its_answers(project: Path) -> None:
    from al_loop import open_run

    with open_run(project / "runs/words") as run:
        (path,) = run.artifacts["path"]
    assert Path(path) == project / "runs/words/artifacts/000005/trace.txt"
    assert Path(path).read_text() == "GCUGUCGG: 4.0\n"


@pytest.mark.parametrize(("name", "n_measured"), [("words", 20), ("fidelities", 18)])
def test_a_kept_run_goes_on_to_the_batches_of_one_that_was_never_stopped(
    name: str, n_measured: int, project: Path
) -> None:
    ledger = project / "runs" / name / "ledger.db"
    measured = 'SELECT candidate_id, "values", worker, finished FROM evaluations ORDER BY number'
    before = golden.query(ledger, measured)
    assert len(before) == n_measured
    done = golden.run("run", f"{name}.yaml", "--run-dir", f"runs/{name}", folder=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert golden.batches(ledger) == (golden.EXPECTED / f"{name}.json").read_text()
    assert golden.query(ledger, measured)[:n_measured] == before
    assert "checkpoint" not in done.stdout + done.stderr
