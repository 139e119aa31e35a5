"""``al-loop status`` and ``export``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from al_loop.analysis import open_run
from tests.support.command_line import call, lines


def test_status_and_export(finished: str, folder: Path) -> None:
    code, out, _ = call("status", finished)
    assert code == 0
    for fact in ("tiny, finished", "3 of 3 closed", "14 of 14", "maximise cli_score"):
        assert fact in out
    for name, read in (("t.csv", pd.read_csv), ("t.parquet", pd.read_parquet)):
        assert call("export", finished, "-o", name)[0] == 0
        assert len(read(folder / name)) == 14
    assert call("export", finished, "--format", "parquet")[0] == 0
    assert (folder / "tiny.parquet").is_file()
    assert call("export", finished, "-o", "no/such/folder.csv")[0] == 2
    (folder / "tiny.csv").write_text("smiles\nCCO\n")  # a library of the same name
    for arguments in (
        [],
        ["--format", "csv"],
        ["-o", "tiny.csv"],
        ["-o", "x.ods"],
        ["--format", "csv", "-o", "x.xlsx"],
    ):
        assert call("export", finished, *arguments)[0] == 2
    assert (folder / "tiny.csv").read_text() == "smiles\nCCO\n"
    assert call("export", finished, "--force")[0] == 0
    assert len(pd.read_csv(folder / "tiny.csv")) == 14
    assert call("export", finished, "-o", "t.xlsx")[0] == 0
    assert len(pd.read_excel(folder / "t.xlsx")) == 14
    code, out, _ = call("export", finished, "-o", "-")
    assert (code, out.splitlines()[0][:16]) == (0, "candidate,object")
    assert not (folder / "-").exists()
    code, _, err = call("status", "nowhere")
    assert code == 2
    assert len(err) == 1


def test_status_says_how_often_and_why_the_oracle_failed(folder: Path) -> None:
    settings = ["oracle.target=cli_oracle:cli_picky", "rounds.count=0", "seed=3"]
    code, _, err = call("run", "tiny.yaml", *settings, "--run-dir", str(folder / "picky"), "--quiet")
    assert code == 0, err
    _, out, _ = lines("status", str(folder / "picky"))
    (line,) = [line for line in out if line.startswith("failures")]
    with open_run(folder / "picky") as run:
        n = int(run.evaluations["failure"].count())
    assert 0 < n < 6
    assert f"{n} permanent; {n} of them: ValueError: too many A" in line


def test_a_run_that_ends_for_the_oracle_points_to_the_traceback(folder: Path) -> None:
    run = str(folder / "broken")
    code, _, err = call("run", "tiny.yaml", "oracle.target=cli_oracle:cli_broken", "--run-dir", run, "-q")
    assert code == 1
    assert err[-1].endswith(f"for its traceback and output: {run}/logs")
    assert 'raise ValueError("the furnace is cold")' in (folder / "broken" / "logs" / "oracle-0.log").read_text()
