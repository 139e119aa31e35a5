"""``al-loop check``."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import call


def test_check_builds_the_parts_and_calls_the_oracle_once(folder: Path) -> None:
    log = folder / "check.log"
    code, out, err = call("check", "tiny.yaml", f"oracle.log={log}", "evaluation.cost=2.5")
    assert (code, err) == (0, [])
    assert "parameters" in out
    assert "14 calls x cost 2.5 = 35" in out
    assert len(log.read_text().split()) == 1
    assert not (folder / "runs").exists()


def test_check_without_oracle_calls_none(folder: Path) -> None:
    log = folder / "none.log"
    assert call("check", "tiny.yaml", f"oracle.log={log}", "--no-oracle")[0] == 0
    assert not log.exists()


def test_check_says_why_the_oracle_fails() -> None:
    code, _, err = call("check", "tiny.yaml", 'oracle={target: "cli_oracle:cli_broken"}')
    assert code == 1
    assert len(err) == 1
    assert "the furnace is cold" in err[0]
