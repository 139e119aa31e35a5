"""Single cells: numbers of several countries, failures in several words."""

import pytest

from al_loop.datafiles.cells import NumberNotation, failure_text, is_number_like, parse_number

COMMA = NumberNotation(allows_comma=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("-2", -2.0), ("\N{MINUS SIGN}2", -2.0), (".5", 0.5), ("inf", None), ("nan", None), ("", None)],
)
def test_only_finite_numbers_are_numbers(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["1_000", "1,5", ">10", "five", "1e400", "0x10", "5 nM", "5%", "1.2.3", "1,2", "1 2"])
def test_what_people_do_not_mean_as_a_number_is_none(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234.5", 1234.5),
        ("1,234,567", 1234567.0),
        ("1 234.5", 1234.5),
        ("1\u202f234", 1234.0),
        ("1'234'567.5", 1234567.5),
        ("1,234", None),  # a thousand, or a decimal comma
        ("1.234", 1.234),
        ("12,5", None),
    ],
)
def test_thousand_separators_in_a_table_with_decimal_points(text, number):
    assert NumberNotation().number(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("5,5", 5.5), ("-1,5e-3", -1.5e-3), ("1.234,5", 1234.5), ("1.234.567", 1234567.0), ("5.5", 5.5), ("46", 46.0)],
)
def test_decimal_commas_where_they_are_possible(text, number):
    assert COMMA.number(text) == number


def test_what_may_be_a_thousand_is_read_by_the_rest_of_its_table():
    german = NumberNotation.of_table(";", [["5,5", "1.234", "CCO"]])
    english = NumberNotation.of_table(";", [["5.5", "1,234"]])
    unknown = NumberNotation.of_table(";", [["1,234", "46"]])
    assert (german.number("1,234"), german.number("1.234")) == (1.234, None)
    assert (english.number("1,234"), english.number("1.234")) == (None, 1.234)
    assert (unknown.number("1,234"), unknown.number("1.234")) == (1.234, 1.234)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (">5", "a bound"),
        ("< 0,5", "a bound"),
        ("1,234", "may mean 1234 or 1.234"),
        ("5,5", "write 5.5 with a decimal point"),
        ("#DIV/0!", "spreadsheet's error"),
        ("05. Mai", "a date"),
        ("2026-05-05", "a date"),
        ("May-05", "a date"),
        ("5 nM", "its unit into the heading"),
        ("5%", "its unit into the heading"),
        ("5.1 ± 0.2", "its standard deviation"),
        ("five", "is not a number; "),
        ("1_000", "is not a number; "),
    ],
)
def test_a_fault_names_the_remedy(text, fault):
    assert NumberNotation().number(text) is None
    assert fault in "; ".join(NumberNotation().fault(text))


@pytest.mark.parametrize("text", ["", "FALSE", "False", "no", "0", "n", "f", "-", " NaN ", "FALSCH", "N/A"])
def test_a_cell_that_denies_a_failure_is_none(text):
    assert failure_text(text) is None


@pytest.mark.parametrize(
    ("text", "said"), [("TRUE", ""), ("yes", ""), ("1", ""), ("x", ""), (" insoluble ", "insoluble")]
)
def test_a_cell_that_reports_a_failure_gives_its_reason_if_it_has_one(text, said):
    assert failure_text(text) == said


def test_bounds_and_numbers_of_all_notations_are_like_numbers():
    assert all(map(is_number_like, ["1", "1,5", "1.234,5", ">5", "<=0.1", "1 234"]))
    assert not any(map(is_number_like, ["", "CCO", "five", "1-2", "C1", "> x"]))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("<4", ("<", 4.0)),
        (" > 100", (">", 100.0)),
        ("<=0.5", ("<", 0.5)),
        ("≥1e3", (">", 1000.0)),
        ("~5", None),
        ("5", None),
        ("<", None),
        ("<five", None),
        ("<1,5", None),
    ],
)
def test_a_bound_has_a_side_and_a_number(text, bound):
    assert NumberNotation().bound(text) == bound
