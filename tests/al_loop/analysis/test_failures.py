"""The table of failures, with tracebacks and output."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from al_loop.analysis import open_run
from al_loop.ledger import Ledger
from al_loop.oracles.base import Outcome, outcome_of_error
from tests.support.command_line import call
from tests.support.ledgers import answer, begin, begin_attempt, open_round


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a value, an exception, a crash and a failure without details."""
    try:
        raise KeyError("no such residue")
    except KeyError as error:
        raised = outcome_of_error(error)
    lost = "the worker died: exit code -11"
    outcomes = [
        Outcome((1.0,)),
        raised,
        Outcome(failure=Outcome.failed("retryable", lost).failure, info={"output": "measuring GA\n"}),
        Outcome.failed("invalid", "not a word"),
    ]
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        begin(ledger)
        for candidate, outcome in zip(open_round(ledger, 0, "A", "G", "GA", "?"), outcomes, strict=True):
            begin_attempt(ledger, candidate.id, "local-3")
            answer(ledger, candidate.id, outcome, worker="local-3")
    return tmp_path


def test_the_table_has_places_tracebacks_and_output(folder: Path) -> None:
    with open_run(folder) as run:
        table = run.failures
    assert list(table["object"]) == ["G", "GA", "?"]
    raised, lost, invalid = (table.iloc[i] for i in range(3))
    assert (raised["error"], raised["message"]) == ("KeyError", "'no such residue'")
    assert Path(raised["file"]).name == "test_failures.py"
    assert raised["line"] > 0
    assert 'raise KeyError("no such residue")' in raised["traceback"]
    assert lost["output"] == "measuring GA\n"
    assert raised["log"] == str(folder / "logs" / "oracle-3.log")
    assert pd.isna(invalid["traceback"])
    assert invalid["reason"] == "not a word"


def test_status_shows_the_newest_traceback_on_request(folder: Path) -> None:
    code, out, err = call("status", str(folder), "-v")
    assert (code, err) == (0, [])
    assert "G: KeyError: 'no such residue'" in out
    assert 'raise KeyError("no such residue")' in out
    assert f"all that this worker printed: {folder}/logs/oracle-3.log" in out
    assert "Traceback" not in call("status", str(folder))[1]
