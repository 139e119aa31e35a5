"""Tables of results in all their formats, as tell reads them."""

from pathlib import Path

import openpyxl
import pytest

from al_loop.errors import ConfigError
from al_loop.ledger import Ledger, Proposal
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


@pytest.mark.parametrize("denied", ["FALSE", "no", "0", "n", "f", "-", ""])
def test_a_failure_that_is_denied_leaves_the_value(ledger: Ledger, denied: str) -> None:
    assert parse(ledger, f"id,ic50,failure\n1,5,{denied}\n").answers[1].values == (5.0,)
    assert parse(ledger, f"id,ic50,failure\n1,,{denied}\n").blank == [1]


@pytest.mark.parametrize("failure", ["TRUE", "yes", "1", "x"])
def test_a_failure_without_a_reason_takes_the_comment(ledger: Ledger, failure: str) -> None:
    results = parse(ledger, f"id,ic50,failure,comment\n1,,{failure},oily\n")
    assert results.answers[1].failure == Failure("permanent", "oily")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,ic50\n1,6,25\n", "line 2: 3 cells, but the header has 2; write decimals with a point"),
        ("id,smiles,ic50\n1,CCO\n", "line 2: 2 cells, but the header has 3"),
        ("id,ic50,\n1,6,7\n", "column 3 has none"),
        ("id,ic50,ic50\n1,6,7\n", "'ic50' occurs twice"),
        ("id,ic50 (nM),IC50 (uM)\n1,,7\n", None),
        ("id,ic50 [uM],IC50 (M)\n1,6,7\n", "may all be 'ic50'; keep the one to import"),
    ],
)
def test_a_table_that_says_more_than_is_read_is_refused(ledger: Ledger, text: str, reason: str | None) -> None:
    if reason is None:  # the column that ask wrote goes first
        assert parse(ledger, text).blank == [1]
        return
    with pytest.raises(ConfigError, match=reason):
        parse(ledger, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('id,ic50\n1,"6,25"\n', "write 6.25 with a decimal point"),
        ('id,ic50\n1,"6,250"\n', "may mean 6250 or 6.25"),
        ("id;ic50;other\n1;6.250;1,5\n", "may mean 6.25 or 6250"),
        ("id,ic50\n1,5 nM\n", "its unit into the heading"),
        ("id,ic50\n1,05. Mai\n", "a date"),
    ],
)
def test_a_number_that_is_not_certain_is_a_problem(ledger: Ledger, text: str, problem: str) -> None:
    (said,) = parse(ledger, text).problems
    assert said.startswith("line 2: ")
    assert problem in said


def test_the_unit_of_the_noise_is_converted_or_that_of_its_value(ledger: Ledger) -> None:
    text = "id,ic50 (uM),ic50_std{}\n1,0.5,0.1\n"
    assert parse(ledger, text.format("")).answers[1].noise == pytest.approx((100.0,))
    assert parse(ledger, text.format(" (nM)")).answers[1].noise == pytest.approx((0.1,))


def test_a_column_of_structures_is_taken_for_the_objects_and_said(ledger: Ledger) -> None:
    results = parse(ledger, "Name,Structure,ic50 (nM)\nx1,OCC,5\nx2,C1=CC=CC=C1,6\n")
    assert results.answers.keys() == {1, 3}
    assert "the column 'Structure' is taken for the objects" in results.notes


def test_an_excel_file_is_read_with_its_rows(ledger: Ledger, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["ID", "smiles", "ic50 (nM)"], [1, "CCO", 5.5], [2, "CCN", "~7"]):
        book.active.append(row)
    book.save(tmp_path / "r.xlsx")
    results = parse_results(ledger, tmp_path / "r.xlsx", ImportOptions(), canonical_smiles)
    assert results.answers[1].values == (5.5,)
    assert results.problems[0].startswith("row 3: ic50 (nM): '~7' is a bound")


def test_a_candidate_proposed_in_another_spelling_is_taken_back(tmp_path: Path) -> None:
    with begin(tmp_path, IC50) as ledger:
        ledger.close_round(0, metrics={}, seconds={})
        ledger.open_round(1, [Proposal("[H]N=C(N)N", "sampler")], seed=0, seconds={}, info={})
        results = parse(ledger, "smiles,ic50 (nM)\n[H]N=C(N)N,5\n")
        assert (list(results.answers), results.problems) == ([5], [])
