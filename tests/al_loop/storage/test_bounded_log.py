"""Logs of bounded size."""

from __future__ import annotations

from pathlib import Path

from al_loop.storage.bounded_log import BoundedLog


def test_the_newest_output_survives(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "worker.log", max_bytes=1000)
    with log.path.open("ab") as another:  # a process that has it open goes on writing
        for number in range(500):
            log.append(f"line {number}\n".encode())
        another.write(b"from another\n")
    text = log.path.read_text()
    assert log.size <= 1100
    assert text.startswith("... earlier output was removed ...\nline ")
    assert text.endswith("line 499\nfrom another\n")


def test_what_was_written_since_a_position(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "worker.log")
    assert log.since(0, 100) == b""
    log.append(b"before\n")
    position = log.size
    log.append(b"after\n")
    assert log.since(position, 100) == b"after\n"
    assert log.since(position, 3) == b"er\n"


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "gone" / "worker.log")
    log.append(b"lost")
    assert log.since(0, 10) == b""
