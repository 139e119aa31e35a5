"""Importing a table of results: every mistake is named, and only what the preview showed is committed."""

import re
from pathlib import Path

import pytest

from al_loop.errors import CampaignError
from al_loop.ledger import Ledger, Proposal
from al_loop.oracles.base import Failure
from al_loop.people.ask import candidates_to_ask
from al_loop.people.tell import ImportOptions, commit_results
from tests.support.results import IC50, begin, parse, tell


def test_what_was_vetoed_is_not_asked_for_and_takes_no_result(tmp_path: Path) -> None:
    with begin(tmp_path, IC50) as ledger:
        ledger.decide(0, vetoes={2: "unstable"}, pins={}, approve=True, by="ada")
        assert [c.id for c in candidates_to_ask(ledger)] == [1, 3, 4]
        results = parse(ledger, "id,ic50 (nM)\n1,5\n2,7\n")
        assert results.answers.keys() == {1}
        assert results.problems == [
            "line 3: CCN was vetoed by ada (unstable), so it cannot have a result; leave the row blank"
        ]
        results = parse(ledger, "id,ic50 (nM)\n1,5\n2,\n")
        assert (results.problems, results.blank) == ([], [])


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
    results = parse(ledger, "id,ic50 (nM)\n1,\n2,3\n")
    assert (results.blank, list(results.answers)) == ([1], [2])


def test_the_second_time_a_table_says_nothing_new(ledger: Ledger) -> None:
    table = "id,ic50 (nM),failure\n1,5,\n2,,insoluble\n"
    tell(ledger, table)
    results = parse(ledger, table)
    assert (results.n_new, results.unchanged, results.problems) == (0, [1, 2], [])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("9,CCO,5", "id 9 is not in this run, whose ids are 1 to 4"),
        ("1.5,CCO,5", "'1.5' is not a whole number"),
        ("x,CCO,5", "'x' is not a whole number"),
        ("1,CCN,5", "id 1 is CCO, but the table has CCN"),
        ("1,C1CC,5", "id 1 is CCO, but the table has C1CC"),
        (",CCCC,5", "CCCC was never proposed.*--extra"),
        (",C1CC,5", "'C1CC' is not a valid object"),
        (",,5", "neither an id nor an object"),
        ("1,CCO,NaN", "'NaN' is not a number; leave it blank"),
        ("1,CCO,inf", "'inf' is not a number"),
        ("1,CCO,~100", "'~100' is a bound, not a measurement"),
        ("1,CCO,five", "'five' is not a number"),
    ],
)
def test_a_row_that_cannot_be_understood_is_named_with_its_line(ledger: Ledger, row: str, problem: str) -> None:
    results = parse(ledger, f"id,smiles,ic50 (nM)\n2,CCN,7\n{row}\n")
    assert list(results.answers) == [2]
    (said,) = results.problems
    assert said.startswith("line 3: ")
    assert re.search(problem, said)


def test_a_molecule_written_in_another_way_is_the_same_molecule(ledger: Ledger) -> None:
    results = parse(ledger, "id,smiles,ic50 (nM)\n1,OCC,5\n,C1=CC=CC=C1,6\n")
    assert {i: o.values for i, o in results.answers.items()} == {1: (5.0,), 3: (6.0,)}
    assert any("OCC is another spelling of CCO" in note for note in results.notes)


def test_the_same_row_twice_counts_once_and_is_noted(ledger: Ledger) -> None:
    results = parse(ledger, "id,ic50 (nM)\n1,5\n1,5.0\n")
    assert results.answers[1].values == (5.0,)
    assert any("lines 2, 3 report the same" in note for note in results.notes)


def test_several_values_of_one_object_are_averaged_only_when_wanted(ledger: Ledger) -> None:
    table = "id,ic50 (nM)\n1,4\n1,6\n1,8\n"
    (said,) = parse(ledger, table).problems
    assert said.startswith("lines 2, 3, 4: several values of one object (4, 6, 8)")
    outcome = parse(ledger, table, ImportOptions(replicates=True)).answers[1]
    assert outcome.values == (6.0,)
    assert outcome.noise == pytest.approx((2.0 / 3**0.5,))  # the standard error of 4, 6, 8
    assert outcome.info["replicates"] == [[4.0], [6.0], [8.0]]


def test_a_value_and_a_failure_of_one_object_are_not_averaged(ledger: Ledger) -> None:
    (said,) = parse(ledger, "id,ic50 (nM),failure\n1,4,\n1,,lost\n", ImportOptions(replicates=True)).problems
    assert "some with a value and some with a failure" in said


def test_objects_that_were_never_proposed_enter_when_wanted_and_once(ledger: Ledger) -> None:
    table = "smiles,ic50 (nM)\nOCCC,5\n"
    tell(ledger, table, ImportOptions(extra=True))
    assert [(c.object, c.origin, c.round) for c in ledger.candidates()][-1] == ("CCCO", "told", 0)
    assert ledger.observations()[-1].values == (5.0,)
    assert parse(ledger, table, ImportOptions(extra=True)).unchanged == [5]


def test_a_correction_needs_a_reason_and_keeps_what_was_there(ledger: Ledger) -> None:
    tell(ledger, "id,ic50 (nM)\n1,5\n2,6\n")
    (said,) = parse(ledger, "id,ic50 (nM)\n1,50\n2,6\n").problems
    assert "the id 1 has had the result 5 since" in said
    tell(ledger, "id,ic50 (nM)\n1,50\n2,6\n", ImportOptions(correction="a decimal point"))
    assert [e.values for e in ledger.evaluations()] == [(50.0,), (6.0,)]
    first, second, _ = ledger.evaluations(has_all_revisions=True)
    assert (first.values, second.values, second.revision) == ((5.0,), (50.0,), 1)
    assert second.info["correction"] == "a decimal point"
    assert [o.values for o in ledger.observations(until=2)] == [(5.0,), (6.0,)]
    assert [o.values for o in ledger.observations()] == [(50.0,), (6.0,)]


def test_a_value_far_from_its_prediction_is_pointed_at(ledger: Ledger) -> None:
    results = parse(ledger, "id,ic50 (nM)\n1,120\n2,5000\n")
    assert next(n for n in results.notes if "is far from" in n).startswith(
        "id 2: 5000 is far from the prediction 100 ± 10"
    )


def test_two_people_who_tell_at_once_do_not_both_win(ledger: Ledger, tmp_path: Path) -> None:
    mine = parse(ledger, "id,ic50 (nM)\n1,5\n2,6\n")
    tell(ledger, "id,ic50 (nM)\n2,7\n")
    with pytest.raises(CampaignError, match=r"nothing was committed.*candidate 2 already has an answer.*read it again"):
        commit_results(ledger, mine, tmp_path / "results.csv", ImportOptions())
    assert [(e.candidate_id, e.values) for e in ledger.evaluations()] == [(2, (7.0,))]


def test_a_bound_is_recorded_as_one_and_is_no_best_value(ledger: Ledger) -> None:
    results = parse(ledger, "id,smiles,ic50 (nM)\n1,CCO,<4\n2,CCN,> 100\n3,c1ccccc1,7\n")
    assert results.problems == []
    assert [(o.values, o.censored) for o in results.answers.values()] == [
        ((4.0,), ("<",)),
        ((100.0,), (">",)),
        ((7.0,), None),
    ]


def test_of_replicates_that_are_bounds_only_exact_values_are_averaged(ledger: Ledger) -> None:
    text = "id,smiles,ic50 (nM)\n1,CCO,<4\n1,CCO,3\n2,CCN,<4\n2,CCN,<3\n"
    results = parse(ledger, text, ImportOptions(replicates=True))
    assert (results.answers[1].values, results.answers[1].censored) == ((3.0,), None)
    assert "several bounds" in results.problems[0]


def test_a_row_without_an_id_is_the_measurement_that_waits_and_one_with_an_id_is_its_own(ledger: Ledger) -> None:
    tell(ledger, "smiles,ic50 (nM)\nCCO,5\n")
    (again,) = ledger.open_round(1, [Proposal("CCO", "remeasured", replicate=1)], seed=0, seconds={}, info={})
    results = parse(ledger, "id,smiles,ic50 (nM)\n,OCC,6\n1,CCO,5\n")
    assert (list(results.answers), results.unchanged, results.problems) == ([again.id], [1], [])
