"""The preview of a table of results."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from al_loop.ledger import Ledger
from al_loop.oracles.base import Objective, Outcome
from al_loop.people.preview import preview
from tests.support.results import IC50, begin, parse


def test_the_preview_says_what_becomes_of_each_row(ledger: Ledger) -> None:
    results = parse(ledger, "id,ic50 (nM),failure\n1,5,\n2,,insoluble\n3,,\n9,1,\n")
    shown = dict(preview(results, ledger))
    assert shown["2 to be committed"] == ["1  CCO: ic50 5 nM", "2  CCN: permanent failure: insoluble"]
    assert "1 without a result yet, which remain pending: 3" in shown
    assert "1 handed out before and still pending: 4" in shown
    assert len(shown["1 problem"]) == 1


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Outcome((0.5, 7.0), censored=("<", None)), "ic50 <0.5 nM, purity 7"),
        (Outcome((0.5, 7.0), censored=(None, ">")), "ic50 0.5 nM, purity >7"),
        (Outcome((math.nan, 7.0)), "ic50 –, purity 7"),
    ],
)
def test_the_preview_shows_bounds_and_gaps(tmp_path: Path, outcome: Outcome, shown: str) -> None:
    with begin(tmp_path, IC50, Objective("purity")) as ledger:
        results = replace(parse(ledger, "id,ic50 (nM),purity\n1,5,1\n"), answers={1: outcome})
        assert dict(preview(results, ledger))["1 to be committed"] == [f"1  CCO: {shown}"]
