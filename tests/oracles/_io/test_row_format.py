"""Rows of programs and services as Outcomes; see test_command.py and test_http.py for rows on their way."""

import math

import pytest

from al_loop.errors import ConfigError
from al_loop.oracles._io.row_format import call_keys, named_objectives, number, priced_fidelities, read_answer
from al_loop.oracles.base import Failure, Fidelity, Objective

X_AND_Y = (Objective("x"), Objective("y"))


@pytest.mark.parametrize("row", [{"x": 1, "y": "2.5"}, {"values": [1, 2.5]}, {"x": "1", "y": 2.5, "values": [7]}])
def test_values_come_by_name_or_as_a_list(row):
    assert read_answer(row, X_AND_Y).values == (1.0, 2.5)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"x": 1}, "None for y"),
        ({"x": 1, "y": "many"}, "'many' for y"),
        ({"values": [1]}, "1 value, expected 2"),
        ({"values": [True, 1]}, "True for x"),
        ({}, "None for x"),
    ],
)
def test_a_row_without_all_values_is_a_permanent_failure(row, reason):
    failure = read_answer(row, X_AND_Y).failure
    assert failure.kind == "permanent"
    assert reason in failure.reason


def test_a_failure_wins_over_values_and_keeps_cost_and_info():
    outcome = read_answer({"x": 1, "y": 2, "failure": "invalid", "reason": "wet", "cost": "3", "batch": 7}, X_AND_Y)
    assert (outcome.failure, outcome.cost, outcome.info) == (Failure("invalid", "wet"), 3.0, {"batch": 7})


@pytest.mark.parametrize("denied", ["", "FALSE", "no", "0", "n", "f", "-", None, False, 0, 0.0, {}])
def test_a_failure_that_is_denied_leaves_the_values(denied):
    assert read_answer({"x": 1, "y": 2, "failure": denied}, X_AND_Y).values == (1.0, 2.0)


@pytest.mark.parametrize("failure", [True, 1, "yes", "TRUE"])
def test_a_failure_without_a_kind_takes_the_reason(failure):
    assert read_answer({"failure": failure, "reason": "wet"}, X_AND_Y).failure == Failure("permanent", "wet")


def test_info_beside_the_values_is_merged_and_lost_files_are_noted():
    outcome = read_answer({"x": 1, "y": 2, "info": {"a": 1}, "b": 2}, X_AND_Y, lost="gone")
    assert outcome.info == {"a": 1, "b": 2, "artifacts_lost": "gone"}


@pytest.mark.parametrize(
    ("value", "expected"), [(True, None), (None, None), ("x", None), ("1e3", 1000.0), (10**400, None)]
)
def test_numbers_are_numbers_or_their_spelling(value, expected):
    assert number(value) == expected


def test_fidelities_are_sorted_by_cost():
    assert priced_fidelities({"high": 5.0, "low": 1.0}) == (Fidelity("low", 1.0), Fidelity("high", 5.0))


@pytest.mark.parametrize("names", [[], [""], ["a", "a"], ["values"], ["a", "a_std"]])
def test_objectives_with_ambiguous_names_are_refused(names):
    with pytest.raises(ConfigError, match="distinct names"):
        named_objectives(names)


def test_keys_outside_a_campaign_are_unique():
    keys = [call_keys(["a"])["a"] for _ in range(2)]
    assert len({*keys, ""}) == 3


@pytest.mark.parametrize("cell", ["<4", "< 4", "≤4.0"])
def test_a_bound_is_a_value_of_which_only_that_is_known(cell):
    outcome = read_answer({"a": cell, "b": 1}, [Objective("a"), Objective("b")])
    assert (outcome.values, outcome.censored) == ((4.0, 1.0), ("<", None))


@pytest.mark.parametrize("cell", [None, "", "NA", "nan", math.nan])
def test_one_of_several_values_may_be_missing(cell):
    outcome = read_answer({"a": cell, "b": 1}, [Objective("a"), Objective("b")])
    assert math.isnan(outcome.values[0])
    assert outcome.values[1] == 1.0
    assert read_answer({"a": cell}, [Objective("a")]).failure is not None
