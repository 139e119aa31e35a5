"""Tables of results in all their formats."""

from pathlib import Path

import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger
from al_loop.oracles.base import Failure, Objective, Outcome
from al_loop.people.tell import ImportOptions, parse_results
from al_loop.smiles import canonical_smiles
from tests.support.results import IC50, begin, parse


def test_a_value_and_a_failure_in_one_row_contradict(ledger: Ledger) -> None:
    (said,) = parse(ledger, "id,ic50 (nM),failure\n1,5,insoluble\n").problems
    assert "both a value (5) and a failure (insoluble)" in said


@pytest.mark.parametrize(
    ("head", "value", "expected"),
    [
        ("ic50 (uM)", "0.5", 500.0),
        ("IC50 [µM]", "0.5", 500.0),
        ("ic50 (M)", "5e-7", 500.0),
        ("ic50", "500", 500.0),
        ("value", "500", 500.0),
        ("ic50 (nM)", "500", 500.0),
    ],
)
def test_units_are_converted_or_taken_as_asked_for(ledger: Ledger, head: str, value: str, expected: float) -> None:
    results = parse(ledger, f"id,{head}\n1,{value}\n")
    assert results.answers[1].values == pytest.approx((expected,), rel=1e-12)
    assert ("converted" in " ".join(results.notes)) == ("M" in head and "nM" not in head)


def test_noise_is_converted_with_its_value(ledger: Ledger) -> None:
    assert parse(ledger, "id,ic50 (uM),ic50_std\n1,0.5,0.1\n").answers[1].noise == pytest.approx((100.0,))


@pytest.mark.parametrize("unit", ["kg", "kcal/mol", "furlongs?", "%"])
def test_a_unit_that_cannot_be_converted_is_refused_as_a_whole(ledger: Ledger, unit: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be converted to the nM.*'ic50 \(nM\)'"):
        parse(ledger, f"id,ic50 ({unit})\n1,5\n")


def test_spreadsheets_of_other_countries_are_read(ledger: Ledger) -> None:
    results = parse(ledger, "\ufeffID;SMILES;ic50 (nM)\r\n1;CCO;12,5\r\n;;\r\n2;CCN;1\r\n")
    assert {i: o.values for i, o in results.answers.items()} == {1: (12.5,), 2: (1.0,)}
    assert parse(ledger, "id\tic50\n1\t2.5\n").answers[1].values == (2.5,)


def test_several_objectives_come_together_or_not_at_all(tmp_path: Path) -> None:
    with begin(tmp_path, IC50, Objective("logp")) as ledger:
        results = parse(ledger, "id,ic50 (nM),logP\n1,5,2\n2,5,\n3,,\n")
        assert results.answers[1].values == (5.0, 2.0)
        assert results.blank == [3]
        assert "no logp, although the row has other values" in results.problems[0]
        with pytest.raises(ConfigError, match="no column 'logp'"):
            parse(ledger, "id,ic50 (nM)\n1,5\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("ic50 (nM)\n5\n", "a column 'id' or one of smiles, sequence, object"),
        ("id,value2\n1,5\n", r"no column 'ic50 \(nM\)'"),
        ("id,ID,ic50\n1,1,5\n", "duplicate column 'id'"),
    ],
)
def test_what_is_no_table_of_results_is_refused(ledger: Ledger, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(ledger, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse_results(ledger, tmp_path / "none.csv", ImportOptions(), canonical_smiles)
    (tmp_path / "excel.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ConfigError, match="CSV UTF-8"):
        parse_results(ledger, tmp_path / "excel.csv", ImportOptions(), canonical_smiles)


def test_outcome_of_a_known_failure_kind_keeps_it(ledger: Ledger) -> None:
    results = parse(ledger, "id,ic50,failure,comment\n1,,invalid,decomposed\n")
    assert results.answers[1] == Outcome(failure=Failure("invalid", "decomposed"), info={"comment": "decomposed"})
