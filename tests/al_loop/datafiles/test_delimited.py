"""Delimited text as it comes from programs, spreadsheets and people."""

import random
import string

import pytest

from al_loop.datafiles.delimited import find_object_column, parse_delimited
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1\n", "line 2: 1 cell, but the header has 2"),
        (
            "smiles,activity (nM)\nCCO,7\nCCN,6,25\n",
            "line 3: 3 cells, but the header has 2; write decimals with a point",
        ),
        ("a,b\n1,2,3\n", "line 2: 3 cells"),
        ("a;b\n1;2;3\n", "line 2: 3 cells"),
        ("a,\nx,2\n", "must give each column a unique name, but column 2 has none"),
        (",a\nx,2\ny,3\n", "column 1 has none"),
        ("a,b,a\nx,2,3\n", "'a' occurs twice"),
        ("CCO,5.5\nCCN,6.25\n", "line 1: '5.5' is not a column's name.*no header"),
        ('a,b\n"x"y,2\n', "line 2.*quote"),
        ('a,b\n"x,2\n', "line 2.*quote"),
    ],
)
def test_an_irregular_table_is_refused_with_line_and_remedy(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_delimited(text, "t.csv")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b,,\n1,x,,\n2,y\n", (("1", "x"), ("2", "y"))),  # a spreadsheet's empty columns
        ("a,b\n1,x,,\n", (("1", "x"),)),
        ("a,b,comment\n1,x,\n2,y\n", (("1", "x", ""), ("2", "y", ""))),  # remarks left out at the end
        (",a,b\n0,1,x\n1,2,y\n", (("1", "x"), ("2", "y"))),  # pandas' index
        ('"","a","b"\n"1","1","x"\n"2","2","y"\n', (("1", "x"), ("2", "y"))),  # R's row names
        ("sep=;\na;b\n1,5;x\n", (("1,5", "x"),)),  # Excel
        ("a;b\n1,5;x,y\n2,5;z,w\n", (("1,5", "x,y"), ("2,5", "z,w"))),
        ('a,"x;y;z;w"\n1,2\n', (("1", "2"),)),
        ("IC50, nM;smiles\n5,5;CCO\n", (("5,5", "CCO"),)),
    ],
)
def test_what_programs_add_to_tables_is_understood(text, rows):
    assert parse_delimited(text, "t.csv").rows == rows


def test_lines_are_counted_from_the_beginning_of_the_file():
    assert parse_delimited("sep=;\na;b\n\n1;x\n", "t.csv").lines == (4,)


def test_an_object_column_goes_by_precedence_and_in_any_case():
    assert find_object_column(["Object", "value", "SMILES"]) == "SMILES"
    assert find_object_column(["id", "value"]) is None
