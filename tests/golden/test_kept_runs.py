"""Whole run directories that the code of every schema has left behind are verified, made again, exported and resumed.

``words`` is of schema 4 (commit 9dda6e4), ``words_schema_5`` of d6b8eee, ``words_schema_6`` of 27 November 2026, each
written by the program of its time with the config ``words.yaml`` and ``rounds.count=2``. They are never written again;
a new schema adds its own.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from al_loop import __version__
from al_loop.ledger import SCHEMA_VERSION
from al_loop.ledger.schema import OLDEST_SCHEMA
from tests.golden import golden

RUNS = {4: "words", 5: "words_schema_5", 6: "words_schema_6"}


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a kept run, in a user's folder with its config and its oracle."""
    folder = golden.copy_campaigns(tmp_path)
    path = unpacked(request.param, folder / "runs").rename(folder / "runs" / f"schema-{request.param}")
    pointer = {"ledger": f"sqlite:///{path}/ledger.db", "folders": [str(folder)] * 2}
    (path / "campaign.json").write_text(json.dumps(pointer))
    monkeypatch.chdir(folder)
    return path


def unpacked(number: int, folder: Path) -> Path:
    """Copy the run of a schema to a folder."""
    name = RUNS[number]
    archive = golden.RUNS / f"{name}.tar.gz"
    if archive.is_file():
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    else:
        shutil.copytree(golden.RUNS / name, folder / name)
    return folder / name


def versions(run: Path) -> list[str]:
    """Return the version of al-loop of each start."""
    return [json.loads(text)["al-loop"] for (text,) in golden.query(run / "ledger.db", "SELECT versions FROM sessions")]


def test_a_run_of_every_schema_is_kept(tmp_path: Path) -> None:
    assert sorted(RUNS) == list(range(OLDEST_SCHEMA, SCHEMA_VERSION + 1))
    for number in RUNS:
        ledger = unpacked(number, tmp_path) / "ledger.db"
        assert golden.query(ledger, "SELECT max(version) FROM al_loop_schema") == [(number,)]


def test_a_kept_run_is_verified_and_every_batch_made_again(run: Path) -> None:
    before = (run / "ledger.db").read_bytes()
    code, out, err = golden.call("verify", str(run), "--replay")
    assert code == 0, out + err
    assert [line.strip() for line in out.splitlines() if line.strip().startswith("round ")] == [
        "round 0: the same 8 objects",
        "round 1: the same 6 objects",
        "round 2: the same 6 objects",
    ]
    assert (run / "ledger.db").read_bytes() == before


def test_a_kept_run_goes_on_and_names_both_versions(run: Path) -> None:
    number = next(n for n in RUNS if run.name == f"schema-{n}")
    code, out, err = golden.call("run", "words.yaml", "--run-dir", str(run))
    assert code == 0, out + err
    assert golden.batches(run / "ledger.db") == (golden.EXPECTED / "words.json").read_text()
    assert versions(run)[0] == "0.1.0"
    assert versions(run)[-1] == __version__ != "0.1.0"
    assert "al-loop 0.1.0 -> " + __version__ in out + err
    if number < SCHEMA_VERSION:
        assert f"has schema {number}; this al-loop {__version__} upgrades it to {SCHEMA_VERSION}" in out + err
        assert (run / f"ledger.db.schema-{number}.bak").is_file()
    code, out, err = golden.call("verify", str(run))
    assert code == 0, out + err
