import pytest

from al_loop.system.spreadsheet_cells import inert_cell, without_guard


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)"])
def test_no_spreadsheet_takes_an_inert_cell_for_a_formula(text):
    assert inert_cell(text) == f"'{text}"
    assert without_guard(inert_cell(text)) == text


@pytest.mark.parametrize("text", ["", "CCO", "-5", "+1.5e-3", "[O-]", "'quoted'", "'s"])
def test_other_cells_stay_as_they_are(text):
    assert inert_cell(text) == text
    assert without_guard(text) == text
