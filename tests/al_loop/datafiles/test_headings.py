"""Headings that ask writes are understood again, whatever the objectives are called."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_loop.datafiles.delimited import parse_delimited
from al_loop.datafiles.headings import ColumnMapping, column_heading, value_columns
from al_loop.errors import ConfigError
from al_loop.oracles.base import Objective

AWKWARD = (
    "logP(o/w)",
    "IC50 (mean)",
    "IC50",
    "IC50 (mean",
    "ic50",
    "object",
    "id",
    "failure",
    "Cost",
    "value",
    "comment",
    "x",
    "x_std",
    "x std",
    'the "best", or so',
    "a;b;c;d;e;f;g;h;i;j",
    "ΔG [kcal/mol]",
    "µ",
    "5",
    "#",
    "1,5",
    "with\ttab",
    "predicted_mean",
)


def understood(objectives, delimiter=","):
    """Return the column of each objective in the table that ask writes for them."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    headings = [column_heading(o) for o in objectives]
    writer.writerow(["id", "smiles", "round", "predicted_mean", "predicted_std", *headings, "failure", "comment"])
    writer.writerow([1, "C", 0, "", "", *range(len(headings)), "", ""])
    table = parse_delimited(text.getvalue(), "t.csv")
    columns = value_columns(objectives, table.header, "t.csv", [], ColumnMapping())
    assert all(c.factor == 1.0 for c in columns)
    return [(table.rows[0][table.header.index(c.name)], c.noise) for c in columns]


@pytest.mark.parametrize("unit", ["", "nM", "kcal/(mol K)"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_awkward_names_come_back_all_together(unit, delimiter):
    assert understood([Objective(name, unit) for name in AWKWARD], delimiter) == [
        (str(i), None) for i in range(len(AWKWARD))
    ]


CHARACTERS = st.one_of(st.sampled_from('\r\n\t ,;"()[]'), st.characters(exclude_categories=["Cc", "Cs"]))
NAMES = st.one_of(st.sampled_from(AWKWARD), st.text(CHARACTERS, min_size=1, max_size=12).filter(str.strip))
UNITS = st.sampled_from(["", "nM", "%", "kcal/mol", "(a.u.)"])


def plain(text):
    return " ".join(text.split())


@given(st.lists(st.builds(Objective, NAMES, UNITS), min_size=1, max_size=4, unique_by=lambda o: plain(o.name)))
@settings(max_examples=100, deadline=None)
def test_any_names_come_back(objectives):
    if len({plain(column_heading(o)) for o in objectives}) < len(objectives):
        return
    assert [value for value, _ in understood(objectives)] == [str(i) for i in range(len(objectives))]


def test_columns_that_the_user_names_go_first():
    mapping = ColumnMapping(values={"ic50": "potency"}, units={"ic50": "uM"}, noise={"ic50": "error"})
    notes = []
    (column,) = value_columns([Objective("ic50", "nM")], ["ic50", "potency", "error"], "t.csv", notes, mapping)
    assert (column.name, column.factor, column.noise, column.noise_factor) == ("potency", 1000.0, "error", 1000.0)
    with pytest.raises(ConfigError, match="no column 'x'; its columns are ic50"):
        value_columns([Objective("ic50")], ["ic50"], "t.csv", [], ColumnMapping(values={"ic50": "x"}))
