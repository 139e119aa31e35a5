"""Asking again for what failed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from al_loop import retry
from al_loop.cli import app
from al_loop.errors import ConfigError
from al_loop.ledger import Ledger, schema
from al_loop.oracles.base import Outcome
from al_loop.storage.run_directory import RunDirectory
from tests.support.ledgers import answer, begin, engine_of, open_round


@pytest.fixture
def run(tmp_path: Path) -> str:
    RunDirectory(tmp_path).close()
    return str(tmp_path)


@pytest.fixture
def ledger(run: str) -> Iterator[Ledger]:
    """Yield a ledger with three failures and a value."""
    environment = {"kind": "sequence", "alphabet": "ACGU", "length": 1}
    with Ledger(f"sqlite:///{run}/ledger.db") as ledger:
        begin(ledger, config={"name": "demo", "environment": environment, "oracle": {"target": "math:sqrt"}})
        a, b, c, d = open_round(ledger, 0, "A", "C", "G", "U")
        answer(ledger, a.id, Outcome.failed("permanent", "no licence"))
        answer(ledger, b.id, Outcome.failed("timeout", "no answer within 1 s"))
        answer(ledger, c.id, Outcome.failed("permanent", "no licence"))
        answer(ledger, d.id)
        yield ledger


def pending(ledger: Ledger) -> list[str]:
    return [c.object for c in ledger.pending()]


def test_all_that_failed_is_asked_again(run: str, ledger: Ledger) -> None:
    assert [c.object for c in retry(run, reason="the licence is back", by="ada")] == ["A", "C", "G"]
    assert pending(ledger) == ["A", "C", "G"]
    assert {(r.reason, r.by) for r in ledger.retries()} == {("the licence is back", "ada")}
    with pytest.raises(ConfigError, match="no object has failed"):
        retry(run)


@pytest.mark.parametrize(
    ("options", "objects"),
    [
        (["--objects", "C"], ["C"]),
        (["--objects", "A,3"], ["A", "G"]),
        (["--objects", "A", "--objects", "C"], ["A", "C"]),
        (["--kind", "permanent", "--reason", "mended"], ["A", "G"]),
    ],
)
def test_objects_and_kinds_can_be_chosen(run: str, ledger: Ledger, options: list[str], objects: list[str]) -> None:
    result = CliRunner().invoke(app, ["retry", run, *options])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"asked again: {len(objects)} object")
    assert pending(ledger) == objects


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--objects", "U"], "U did not fail; leave out --objects to ask again for all 3 that failed"),
        (["--objects", "AAA"], "AAA is not in this campaign"),
        (["--kind", "invalid"], "no object failed with invalid; the failures are permanent, timeout"),
    ],
)
def test_what_did_not_fail_is_refused(run: str, ledger: Ledger, options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["retry", run, *options])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert pending(ledger) == []


def test_a_campaign_that_runs_is_left_alone(run: str, ledger: Ledger) -> None:
    driver = RunDirectory(Path(run))
    with pytest.raises(ConfigError, match="is running already"):
        retry(run)
    driver.close()
    now = datetime.now(UTC)
    row = {"token": 1, "owner": "0" * 32, "host": "node-7", "pid": 7, "since": now, "heartbeat": now}
    with engine_of(ledger).begin() as connection:
        connection.execute(schema.leases.insert().values(id=1, **row))
    with pytest.raises(ConfigError, match=r"is running \(pid 7 on node-7\); stop it first"):
        retry(run)
    with engine_of(ledger).begin() as connection:
        connection.execute(schema.leases.update().values(heartbeat=now - timedelta(hours=1)))
    assert len(retry(run)) == 3
