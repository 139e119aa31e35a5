"""What a scientist's table does to the ledger: every mistake is named, nothing is committed that was not shown."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_loop.errors import CampaignError, ConfigError
from al_loop.ledger import Ledger, Proposal
from al_loop.oracles.base import Failure, Objective, Outcome
from al_loop.people import lab
from al_loop.people.lab import ImportOptions, ParsedResults
from al_loop.smiles import canonical_smiles

OBJECTS = ("CCO", "CCN", "c1ccccc1", "CC(=O)O")
IC50 = Objective("ic50", "nM", "minimise")


def begin(path: Path, *objectives: Objective) -> Ledger:
    ledger = Ledger(f"sqlite:///{path}/ledger.db")
    ledger.begin_campaign(name="t", config={}, fingerprint="f", seed=0, objectives=objectives, versions={})
    batch = [Proposal(o, "sampler", predicted_mean=100.0, predicted_std=10.0) for o in OBJECTS]
    ledger.open_round(0, batch, seed=0, seconds={}, info={})
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with begin(tmp_path, IC50) as ledger:
        lab.ask(ledger, lab.waiting(ledger), "smiles")
        yield ledger


def read(ledger: Ledger, text: str, accept: ImportOptions | None = None) -> ParsedResults:
    path = Path(ledger.url.removeprefix("sqlite:///")).with_name("results.csv")
    path.write_text(text, encoding="utf-8")
    return lab.read_told(ledger, path, accept or ImportOptions(), canonical_smiles)


def tell(ledger: Ledger, text: str, accept: ImportOptions | None = None) -> None:
    told = read(ledger, text, accept)
    assert told.problems == []
    path = Path(ledger.url.removeprefix("sqlite:///")).with_name("results.csv")
    lab.commit(ledger, told, path, accept or ImportOptions())


def test_what_was_asked_for_is_not_asked_for_again_unless_wanted(tmp_path: Path) -> None:
    with begin(tmp_path, IC50) as ledger:
        first = lab.waiting(ledger)[:3]
        table = lab.ask(ledger, first, "smiles")
        assert table.splitlines()[0] == "id,smiles,round,predicted_mean,predicted_std,ic50 (nM),failure,comment"
        assert table.splitlines()[1] == "1,CCO,0,100,10,,,"
        assert [c.id for c in lab.waiting(ledger)] == [4]
        assert [c.id for c in lab.waiting(ledger, again=True)] == [1, 2, 3]
        assert lab.ask(ledger, lab.waiting(ledger, again=True), "smiles", again=True) == table
        assert ledger.n_calls() == 3


def test_what_was_vetoed_is_not_asked_for_and_takes_no_result(tmp_path: Path) -> None:
    with begin(tmp_path, IC50) as ledger:
        ledger.decide(0, vetoes={2: "unstable"}, pins={}, approve=True, by="ada")
        assert [c.id for c in lab.waiting(ledger)] == [1, 3, 4]
        told = read(ledger, "id,ic50 (nM)\n1,5\n2,7\n")
        assert told.answers.keys() == {1}
        assert told.problems == ["line 3: CCN was vetoed by ada (unstable), so it takes no result; leave it blank"]
        told = read(ledger, "id,ic50 (nM)\n1,5\n2,\n")
        assert (told.problems, told.blank) == ([], [])


def test_a_filled_in_table_is_committed_with_its_file_and_facts(ledger: Ledger) -> None:
    tell(ledger, "id,smiles,ic50 (nM),ic50_std,cost,failure,operator\n1,CCO,12.5,0.5,3,,jd\n2,CCN,,,,insoluble,jd\n")
    value, failure = ledger.evaluations()
    assert (value.values, value.noise, value.cost, value.attempts) == ((12.5,), (0.5,), 3.0, 1)
    assert (value.info["operator"], value.info["file"]) == ("jd", "results.csv")
    assert len(value.info["file_sha256"]) == 64
    assert value.worker.startswith("told by ")
    assert failure.failure == Failure("permanent", "insoluble")
    assert [c.id for c in ledger.pending()] == [3, 4]


def test_a_row_without_a_result_stays_pending(ledger: Ledger) -> None:
    told = read(ledger, "id,ic50 (nM)\n1,\n2,3\n")
    assert (told.blank, list(told.answers)) == ([1], [2])


def test_the_second_time_a_table_says_nothing_new(ledger: Ledger) -> None:
    table = "id,ic50 (nM),failure\n1,5,\n2,,insoluble\n"
    tell(ledger, table)
    told = read(ledger, table)
    assert (told.n_new, told.known, told.problems) == (0, [1, 2], [])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("9,CCO,5", "id 9 is not in this run, which has the ids 1 to 4"),
        ("1.5,CCO,5", "'1.5' is not a whole number"),
        ("x,CCO,5", "'x' is not a whole number"),
        ("1,CCN,5", "id 1 is CCO, the table says CCN"),
        ("1,C1CC,5", "id 1 is CCO, the table says C1CC"),
        (",CCCC,5", "CCCC was never proposed.*--extra"),
        (",C1CC,5", "'C1CC' is not a valid object"),
        (",,5", "neither an id nor an object"),
        ("1,CCO,NaN", "'NaN' is not a number; leave it blank"),
        ("1,CCO,inf", "'inf' is not a number"),
        ("1,CCO,>100", "'>100' is a bound, not a measurement"),
        ("1,CCO,five", "'five' is not a number"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_with_its_line(ledger: Ledger, row: str, problem: str) -> None:
    told = read(ledger, f"id,smiles,ic50 (nM)\n2,CCN,7\n{row}\n")
    assert list(told.answers) == [2]
    (said,) = told.problems
    assert said.startswith("line 3: ")
    assert re.search(problem, said)


def test_a_value_and_a_failure_in_one_row_contradict(ledger: Ledger) -> None:
    (said,) = read(ledger, "id,ic50 (nM),failure\n1,5,insoluble\n").problems
    assert "both a value (5) and a failure (insoluble)" in said


def test_a_molecule_written_in_another_way_is_the_same_molecule(ledger: Ledger) -> None:
    told = read(ledger, "id,smiles,ic50 (nM)\n1,OCC,5\n,C1=CC=CC=C1,6\n")
    assert {i: o.values for i, o in told.answers.items()} == {1: (5.0,), 3: (6.0,)}
    assert any("OCC is another way to write CCO" in note for note in told.notes)


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
    told = read(ledger, f"id,{head}\n1,{value}\n")
    assert told.answers[1].values == pytest.approx((expected,), rel=1e-12)
    assert ("converted" in " ".join(told.notes)) == ("M" in head and "nM" not in head)


def test_noise_is_converted_with_its_value(ledger: Ledger) -> None:
    assert read(ledger, "id,ic50 (uM),ic50_std\n1,0.5,0.1\n").answers[1].noise == pytest.approx((100.0,))


@pytest.mark.parametrize("unit", ["kg", "kcal/mol", "furlongs?", "%"])
def test_a_unit_that_cannot_be_converted_is_refused_as_a_whole(ledger: Ledger, unit: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be converted to the nM.*'ic50 \(nM\)'"):
        read(ledger, f"id,ic50 ({unit})\n1,5\n")


def test_spreadsheets_of_other_countries_are_read(ledger: Ledger) -> None:
    told = read(ledger, "\ufeffID;SMILES;ic50 (nM)\r\n1;CCO;12,5\r\n;;\r\n2;CCN;1\r\n")
    assert {i: o.values for i, o in told.answers.items()} == {1: (12.5,), 2: (1.0,)}
    assert read(ledger, "id\tic50\n1\t2.5\n").answers[1].values == (2.5,)


def test_the_same_row_twice_counts_once_and_is_noted(ledger: Ledger) -> None:
    told = read(ledger, "id,ic50 (nM)\n1,5\n1,5.0\n")
    assert told.answers[1].values == (5.0,)
    assert any("lines 2, 3 say the same" in note for note in told.notes)


def test_several_values_of_one_object_are_averaged_only_when_wanted(ledger: Ledger) -> None:
    table = "id,ic50 (nM)\n1,4\n1,6\n1,8\n"
    (said,) = read(ledger, table).problems
    assert said.startswith("lines 2, 3, 4: several values of one object (4, 6, 8)")
    outcome = read(ledger, table, ImportOptions(replicates=True)).answers[1]
    assert outcome.values == (6.0,)
    assert outcome.noise == pytest.approx((2.0 / 3**0.5,))  # the standard error of 4, 6, 8
    assert outcome.info["replicates"] == [[4.0], [6.0], [8.0]]


def test_a_value_and_a_failure_of_one_object_are_not_averaged(ledger: Ledger) -> None:
    (said,) = read(ledger, "id,ic50 (nM),failure\n1,4,\n1,,lost\n", ImportOptions(replicates=True)).problems
    assert "some with a value and some with a failure" in said


def test_objects_that_were_never_proposed_enter_when_wanted_and_once(ledger: Ledger) -> None:
    table = "smiles,ic50 (nM)\nOCCC,5\n"
    tell(ledger, table, ImportOptions(extra=True))
    assert [(c.object, c.origin, c.round) for c in ledger.candidates()][-1] == ("CCCO", "told", 0)
    assert ledger.observations()[-1].values == (5.0,)
    assert read(ledger, table, ImportOptions(extra=True)).known == [5]


def test_a_correction_needs_a_reason_and_keeps_what_was_there(ledger: Ledger) -> None:
    tell(ledger, "id,ic50 (nM)\n1,5\n2,6\n")
    (said,) = read(ledger, "id,ic50 (nM)\n1,50\n2,6\n").problems
    assert "id 1 has the answer 5 since" in said
    tell(ledger, "id,ic50 (nM)\n1,50\n2,6\n", ImportOptions(correction="a decimal point"))
    assert [e.values for e in ledger.evaluations()] == [(50.0,), (6.0,)]
    first, second, _ = ledger.evaluations(has_all_revisions=True)
    assert (first.values, second.values, second.revision) == ((5.0,), (50.0,), 1)
    assert second.info["correction"] == "a decimal point"
    assert [o.values for o in ledger.observations(until=2)] == [(5.0,), (6.0,)]
    assert [o.values for o in ledger.observations()] == [(50.0,), (6.0,)]


def test_a_value_far_from_its_prediction_is_pointed_at(ledger: Ledger) -> None:
    told = read(ledger, "id,ic50 (nM)\n1,120\n2,5000\n")
    assert next(n for n in told.notes if "is far from" in n).startswith("id 2: 5000 is far from the 100 ± 10")


def test_several_objectives_come_together_or_not_at_all(tmp_path: Path) -> None:
    with begin(tmp_path, IC50, Objective("logp")) as ledger:
        told = read(ledger, "id,ic50 (nM),logP\n1,5,2\n2,5,\n3,,\n")
        assert told.answers[1].values == (5.0, 2.0)
        assert told.blank == [3]
        assert "no logp, though other values are there" in told.problems[0]
        with pytest.raises(ConfigError, match="no column 'logp'"):
            read(ledger, "id,ic50 (nM)\n1,5\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("ic50 (nM)\n5\n", "a column 'id' or one of object, smiles, sequence"),
        ("id,value2\n1,5\n", r"no column 'ic50 \(nM\)'"),
        ("id,ID,ic50\n1,1,5\n", "'id' stands twice"),
    ],
)
def test_what_is_no_table_of_results_is_refused(ledger: Ledger, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(ledger, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        lab.read_told(ledger, tmp_path / "none.csv", ImportOptions(), canonical_smiles)
    (tmp_path / "excel.csv").write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(ConfigError, match="CSV UTF-8"):
        lab.read_told(ledger, tmp_path / "excel.csv", ImportOptions(), canonical_smiles)


def test_two_people_who_tell_at_once_do_not_both_win(ledger: Ledger, tmp_path: Path) -> None:
    mine = read(ledger, "id,ic50 (nM)\n1,5\n2,6\n")
    tell(ledger, "id,ic50 (nM)\n2,7\n")
    with pytest.raises(CampaignError, match="candidate 2 already has an answer"):
        lab.commit(ledger, mine, tmp_path / "results.csv", ImportOptions())
    assert [(e.candidate_id, e.values) for e in ledger.evaluations()] == [(2, (7.0,))]


def test_the_preview_says_what_becomes_of_each_row(ledger: Ledger) -> None:
    told = read(ledger, "id,ic50 (nM),failure\n1,5,\n2,,insoluble\n3,,\n9,1,\n")
    shown = dict(lab.describe(told, ledger))
    assert shown["2 to be committed"] == ["1  CCO: ic50 5 nM", "2  CCN: permanent failure: insoluble"]
    assert "1 without a result yet, which stay pending: 3" in shown
    assert "1 asked for before and still pending: 4" in shown
    assert len(shown["1 problem"]) == 1


def test_outcome_of_a_known_failure_kind_keeps_it(ledger: Ledger) -> None:
    told = read(ledger, "id,ic50,failure,comment\n1,,invalid,decomposed\n")
    assert told.answers[1] == Outcome(failure=Failure("invalid", "decomposed"), info={"comment": "decomposed"})
