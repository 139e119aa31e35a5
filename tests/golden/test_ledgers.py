"""Ledgers written with every schema since 4 can still be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.golden import golden

SCHEMAS = sorted(path.stem for path in golden.LEDGERS.glob("schema_*.db"))


@pytest.fixture(params=SCHEMAS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copy(golden.LEDGERS / f"{request.param}.db", tmp_path))


def test_a_kept_ledger_is_as_it_was_left(ledger: Path) -> None:
    assert golden.dump(ledger) == json.loads((golden.LEDGERS / f"{ledger.stem}.json").read_text(encoding="utf-8"))


def test_a_kept_ledger_holds_a_row_of_everything(ledger: Path) -> None:
    tables = golden.dump(ledger)
    assert all(tables.values())
    assert {row["action"] for row in tables["decisions"]} == {"veto", "pin", "approve", "stop"}
    assert {row["failure_kind"] for row in tables["evaluations"]} >= {
        "invalid",
        "permanent",
        "retryable",
        "timeout",
        None,
    }
    assert {row["fidelity"] for row in tables["candidates"]} >= {"rough", "exact"}
    assert max(row["revision"] for row in tables["evaluations"]) == 2
    assert max(row["number"] for row in tables["attempts"]) == 2


def test_a_kept_ledger_shows_its_status(ledger: Path) -> None:
    code, out, err = golden.call("status", str(ledger))
    assert (code, err) == (0, "")
    assert "11 of 18 proposed (4 failed)" in out


@pytest.mark.parametrize("table", golden.TABLES)
def test_a_kept_ledger_exports_what_it_exported(table: str, ledger: Path, tmp_path: Path) -> None:
    expected = golden.LEDGERS / f"{ledger.stem}_{table}.csv"
    code, _, err = golden.call("export", str(ledger), "--table", table, "--output", str(tmp_path / "table.csv"))
    assert (code, err) == (0, "")
    columns = golden.columns(expected)
    assert golden.rows(tmp_path / "table.csv", columns) == golden.rows(expected, columns)
