"""Folders whose names have characters that mean something in a URL."""

from pathlib import Path

import pytest

from al_loop.analysis import find_ledger, open_run, run_folder
from al_loop.campaign.campaign import ledger_url
from al_loop.config import CampaignConfig
from al_loop.ledger import Ledger
from al_loop.ledger.engines import sqlite_url
from al_loop.storage.cache import EvaluationCache
from al_loop.storage.checkpoints import Checkpoints
from tests.support.ledgers import begin

NAMES = [
    "5%AcOH",
    "a?b",
    "a?mode=ro",
    "a#b",
    "50%25",
    "two words",
    "Größe µ",
    "a@b:c",
    "a::b",
    "a&b=c;d",
    "file:x",
    "[x]*",
]
CONFIG = CampaignConfig.model_validate(
    {
        "name": "demo",
        "environment": {"kind": "sequence", "alphabet": "AC", "length": 2},
        "oracle": {"target": "math:sqrt"},
    }
)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_any_folder_has_its_ledger_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    monkeypatch.chdir(tmp_path)
    with Ledger(ledger_url(CONFIG, folder)) as ledger:
        begin(ledger)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "ledger.db").is_file()
    for path in (folder, name, folder / "ledger.db", sqlite_url(folder / "ledger.db")):
        with open_run(path) as run:
            assert run.name == "demo"
            assert run_folder(run.path) is not None
    with Ledger(find_ledger(name), read_only=True) as ledger:
        assert ledger.campaign() is not None
    Checkpoints(str(folder / "checkpoints"), "u")
    EvaluationCache(f"{name}/cache.db", "oracle", "demo", print)
    assert {path.name for path in folder.iterdir()} >= {"ledger.db", "checkpoints", "cache.db"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folders_that_differ_after_a_question_mark_are_two_runs(tmp_path: Path) -> None:
    for name in ("a?1", "a?2"):
        with Ledger(ledger_url(CONFIG, tmp_path / name)) as ledger:
            assert begin(ledger)
    assert {path.name for path in tmp_path.iterdir()} == {"a?1", "a?2"}
