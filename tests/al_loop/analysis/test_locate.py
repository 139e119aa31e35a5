"""Finding a run by its path."""

import json
import shutil
from pathlib import Path

import pytest

from al_loop.analysis import open_run
from al_loop.errors import ConfigError


def test_a_missing_run_names_what_is_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"runs in {folder.parent}: demo"):
        open_run(folder.parent / "dem")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"neither ledger\.db nor campaign\.json.*notes\.txt"):
        open_run(tmp_path)
    with pytest.raises(ConfigError, match="not a ledger"):
        open_run(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match="does not exist either"):
        open_run(tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_is_found_through_its_note_and_after_it_moved(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "note"
    elsewhere.mkdir()
    (elsewhere / "campaign.json").write_text(json.dumps({"ledger": f"sqlite:///{folder}/ledger.db"}))
    assert open_run(elsewhere).name == "demo"
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    (moved / "campaign.json").write_text(json.dumps({"ledger": "sqlite:////gone/ledger.db"}))
    assert open_run(moved).name == open_run(moved / "ledger.db").name == "demo"
    assert open_run(f"sqlite:///{moved}/ledger.db").name == "demo"
    for broken in ("{", "[]", '{"ledger": 3}'):
        (elsewhere / "campaign.json").write_text(broken)
        with pytest.raises(ConfigError, match=r"expected \{.*a database URL"):
            open_run(elsewhere)
