"""Handing out candidates."""

from pathlib import Path

import pytest

from al_loop.people.ask import ask, candidates_to_ask
from tests.support.results import IC50, begin

pytestmark = pytest.mark.slow


def test_what_was_asked_for_is_not_asked_for_again_unless_wanted(tmp_path: Path) -> None:
    with begin(tmp_path, IC50) as ledger:
        first = candidates_to_ask(ledger)[:3]
        table = ask(ledger, first, "smiles")
        assert table.splitlines()[0] == "id,smiles,round,predicted_mean,predicted_std,ic50 (nM),failure,comment"
        assert table.splitlines()[1] == "1,CCO,0,100,10,,,"
        assert [c.id for c in candidates_to_ask(ledger)] == [4]
        assert [c.id for c in candidates_to_ask(ledger, again=True)] == [1, 2, 3]
        assert ask(ledger, candidates_to_ask(ledger, again=True), "smiles", again=True) == table
        assert ledger.n_calls() == 3
