"""The preview of a table of results."""

from al_loop.ledger import Ledger
from al_loop.people.preview import preview
from tests.support.results import parse


def test_the_preview_says_what_becomes_of_each_row(ledger: Ledger) -> None:
    results = parse(ledger, "id,ic50 (nM),failure\n1,5,\n2,,insoluble\n3,,\n9,1,\n")
    shown = dict(preview(results, ledger))
    assert shown["2 to be committed"] == ["1  CCO: ic50 5 nM", "2  CCN: permanent failure: insoluble"]
    assert "1 without a result yet, which remain pending: 3" in shown
    assert "1 handed out before and still pending: 4" in shown
    assert len(shown["1 problem"]) == 1
