import pytest

from al_loop.system.printable import inert_cell, printable, without_guard


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain µm ±", "plain µm ±"),
        ("two\nlines\tand", "two\nlines\tand"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x08\x7f\x9b2J", "a\\x0db\\x08\\x7f\\x9b2J"),
        ("abc\u202etxt", "abc\\u202etxt"),
    ],
)
def test_no_terminal_obeys_a_printable_text(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)"])
def test_no_spreadsheet_takes_an_inert_cell_for_a_formula(text):
    assert inert_cell(text) == f"'{text}"
    assert without_guard(inert_cell(text)) == text


@pytest.mark.parametrize("text", ["", "CCO", "-5", "+1.5e-3", "[O-]", "'quoted'", "'s"])
def test_other_cells_stay_as_they_are(text):
    assert inert_cell(text) == text
    assert without_guard(text) == text
