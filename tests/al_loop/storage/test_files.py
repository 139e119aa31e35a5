"""Writing files as a whole, retrying, and locking folders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger.seals import Head
from al_loop.storage.bounded_log import BoundedLog
from al_loop.storage.files import acquire_lock, require_writable, retry_write, write_output, write_whole
from al_loop.storage.ledger_head import LedgerHead
from al_loop.storage.run_directory import RunDirectory

ROOT = Path(__file__).parents[3]


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old")
    write_whole(path, b"newer")
    assert path.read_bytes() == b"newer"

    def interrupt(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"cut off")
    assert path.read_bytes() == b"newer"


def test_a_lock_names_the_process_that_holds_it_until_it_is_closed(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("a+") as first, (tmp_path / "lock").open("a+") as second:
        acquire_lock(first, "the campaign in runs/1")
        with pytest.raises(ConfigError, match=rf"^the campaign in runs/1 is running already \(pid {os.getpid()} on .*"):
            acquire_lock(second, "the campaign in runs/1")
        first.close()
        acquire_lock(second, "the campaign in runs/1")


def test_a_write_is_retried_until_it_succeeds_and_the_wait_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    attempts, notes = iter([OSError("busy"), OSError("busy"), None]), []

    def write() -> None:
        if (error := next(attempts)) is not None:
            raise error

    retry_write(write, "x.pt", 60.0, notes.append)
    assert notes == ["cannot write x.pt at present (busy); retrying"]


def test_a_write_that_never_succeeds_is_an_error_with_the_cause() -> None:
    def write() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(
        CampaignError, match=r"^cannot write x\.pt \(No space left on device\); what the ledger has recorded"
    ):
        retry_write(write, "x.pt", 0.0)


def test_writing_a_file_loads_no_database_library() -> None:
    program = "import sys, al_loop.storage.files; print({'sqlalchemy', 'fsspec', 'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"


def test_output_never_replaces_a_file_a_folder_or_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("a", "link"):
        with pytest.raises(ConfigError, match="already exists"):
            write_output(tmp_path / name, b"new")
    with pytest.raises(ConfigError, match="is a folder"):
        write_output(tmp_path, b"new", force=True)
    assert (tmp_path / "a").read_text() == "mine"
    write_output(tmp_path / "a", b"new", force=True)
    write_output(tmp_path / "b", b"new")
    assert {p.name for p in tmp_path.iterdir()} == {"a", "b", "link"}
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"new"


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable(tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(b"old")
    require_writable(tmp_path / "old.pt", force=True)
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        ("-", "not a file"),
        (tmp_path / "pipe", "not a file"),
        (tmp_path, "is a folder"),
        (tmp_path / "old.pt", "already exists"),
        (tmp_path / "none" / "new.pt", "its folder does not exist"),
    ]:
        with pytest.raises(ConfigError, match=message):
            require_writable(path)
    with pytest.raises(ConfigError, match="not a file"):
        require_writable(tmp_path / "pipe", force=True)
    with pytest.raises(ConfigError, match="the command reads this file"):
        require_writable(tmp_path / "old.pt", force=True, inputs=[tmp_path / "none", tmp_path / "old.pt"])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="read-only"):
        require_writable(tmp_path / "new.pt")


def test_output_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    write_output(tmp_path / "link", b"new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "new"


def test_output_to_a_device_or_standard_output_is_written_there(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    device = Path("/dev/null")
    write_output(device, b"x", force=True)
    write_output(device, b"x")
    assert device.is_char_device()
    write_output("-", b"x\n")
    assert capfdbinary.readouterr().out == b"x\n"


def test_no_link_that_somebody_planted_in_a_run_directory_is_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    run = tmp_path / "run"
    for folder in (run, run / "logs"):
        folder.mkdir()
    for name in ("activity.json.part", "campaign.json.part", "ledger-head.json", "logs/oracle-0.log"):
        (run / name).symlink_to(precious)
    write_whole(run / "activity.json", b"{}")
    write_whole(run / "campaign.json", b"{}")
    LedgerHead(run).write(Head(1, 2, "3"))
    BoundedLog(run / "logs/oracle-0.log", max_bytes=2).append(b"printed")
    assert precious.read_text() == "mine"
    assert (run / "activity.json").read_text() == "{}"
    (run / "lock").symlink_to(precious)
    with pytest.raises(ConfigError, match="cannot write to the run directory"):
        RunDirectory(run)
    assert precious.read_text() == "mine"
