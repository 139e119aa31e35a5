"""Delimited text as it comes from programs, spreadsheets and people."""

import random
import string

import pytest

from al_loop.datafiles.delimited import find_object_column, parse_delimited, parse_number
from al_loop.errors import ConfigError

CHARACTERS = (string.ascii_letters + string.digits + string.punctuation + " ").replace('"', "")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_quoted_cells_come_back(delimiter, end):
    rng = random.Random(0)
    for _ in range(50):
        rows = [
            tuple("x" + "".join(rng.choices(CHARACTERS, k=rng.randrange(8))).rstrip() for _ in range(2))
            for _ in range(rng.randrange(1, 5))
        ]
        text = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in [("smiles", "value"), *rows])
        table = parse_delimited(text, "t.csv")
        assert (table.header, table.rows, table.delimiter) == (("smiles", "value"), tuple(rows), delimiter)
        assert table.lines == tuple(range(2, len(rows) + 2))
        assert parse_delimited(text, "t.csv", lenient=True) == table


def test_rows_of_another_length_are_refused_or_fitted():
    text = "a,b\n1\n2,3,4\n"
    with pytest.raises(ConfigError, match="line 2: 1 cell, but the header has 2"):
        parse_delimited(text, "t.csv")
    assert parse_delimited(text, "t.csv", lenient=True).rows == (("1", ""), ("2", "3"))


def test_columns_without_a_name_are_refused_or_accepted():
    with pytest.raises(ConfigError, match="must give each column a unique name"):
        parse_delimited("a,\n1,2\n", "t.csv")
    assert parse_delimited("a,\n1,2\n", "t.csv", lenient=True).header == ("a", "")


def test_an_object_column_goes_by_precedence_and_in_any_case():
    assert find_object_column(["Object", "value", "SMILES"]) == "SMILES"
    assert find_object_column(["id", "value"]) is None


@pytest.mark.parametrize(("text", "number"), [("1e-3", 1e-3), ("-2", -2.0), ("inf", None), ("nan", None), ("", None)])
def test_only_finite_numbers_are_numbers(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["1_000", "1,5", ">10", "five"])
def test_what_people_do_not_mean_as_a_number_is_none(text):
    assert parse_number(text) is None
