"""What al-loop writes is for its user alone, and code of others is not imported without a word."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.people.campaign_of_ledger import add_part_folders
from al_loop.storage.run_directory import RunDirectory
from al_loop.system.private_files import TRUST, own_folder, require_trusted, user_name
from tests.golden.golden import call

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


def test_a_new_run_directory_and_its_ledger_are_for_this_user_alone(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "runs" / "a")
    with Ledger(f"sqlite:///{tmp_path}/runs/a/ledger.db") as ledger:
        ledger.campaign()
        modes = {path.name: path.stat().st_mode & 0o077 for path in [directory.path, *directory.path.iterdir()]}
    directory.close()
    assert modes["a"] == modes["ledger.db"] == modes["ledger.db-wal"] == 0
    with Ledger(f"sqlite:///{tmp_path}/shared.db"):
        assert (tmp_path / "shared.db").stat().st_mode & 0o777 == 0o600


def test_a_run_directory_that_was_made_for_a_group_stays_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    RunDirectory(tmp_path).close()
    assert tmp_path.stat().st_mode & 0o777 == 0o770


def test_a_folder_among_those_of_others_is_made_private_and_no_link(tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir(mode=0o777)
    assert own_folder(tmp_path / "loose").stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "loose")
    with pytest.raises(PermissionError, match="not a folder, but a link"):
        own_folder(tmp_path / "link")


@root_only
@pytest.mark.parametrize("theirs", ["", "campaign.json", "ledger.db"])
def test_code_that_another_users_run_names_is_not_imported_without_a_word(
    tmp_path: Path, theirs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ledger.db").touch()
    (tmp_path / "campaign.json").write_text(json.dumps({"ledger": "sqlite:///x", "folders": [str(tmp_path)]}))
    require_trusted(tmp_path)
    os.chown(tmp_path / theirs, 12345, 12345)
    with pytest.raises(ConfigError, match=r"belongs to user 12345.*set AL_LOOP_TRUST=12345"):
        add_part_folders(tmp_path)
    monkeypatch.setenv(TRUST, "ada, 12345")
    assert add_part_folders(tmp_path)


@root_only
@pytest.mark.parametrize("command", ["resume", "branch", "review", "ask"])
def test_no_command_imports_the_code_of_another_users_run(tmp_path: Path, command: str) -> None:
    code = "import pathlib\npathlib.Path(__file__).with_name('imported').touch()\ndef measure(x): return 1.0\n"
    (tmp_path / "planted_oracle.py").write_text(code)
    run = tmp_path / "run"
    config = {
        "name": "x",
        "environment": {"kind": "sequence", "alphabet": "AC", "length": 3},
        "oracle": {"target": "planted_oracle:measure"},
    }
    with Ledger(f"sqlite:///{run}/ledger.db") as ledger:
        ledger.begin_campaign(name="x", config=config, fingerprint="f", seed=0, objectives=[], versions={})
    (run / "campaign.json").write_text(json.dumps({"ledger": f"sqlite:///{run}/ledger.db", "folders": [str(tmp_path)]}))
    for path in (run, *run.iterdir()):
        os.chown(path, 12345, 12345)
    more = {"branch": ["--from-round", "1", str(tmp_path / "new")], "review": ["--by", "ada"]}.get(command, [])
    code_of_exit, _, err = call(command, str(run), *more)
    assert code_of_exit != 0
    assert not (tmp_path / "imported").exists(), err


def test_users_without_a_name_are_named_by_their_number() -> None:
    assert user_name(3_000_000) == "user 3000000"
