"""Reporters for terminals and logs."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from datetime import datetime

import pytest
from rich.console import Console

from al_loop.cli.terminal import CampaignOverview, CampaignResult, TerminalReporter, make_reporter
from al_loop.cli.terminal.plain_reporter import PlainReporter
from al_loop.monitoring.round_summary import RoundSummary
from al_loop.oracles.base import Objective


def test_the_table_fits_a_terminal_of_100_columns() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, color_system=None, legacy_windows=False)
    with make_reporter(quiet=False, verbose=False, console=console) as reporter:
        reporter.begin(CampaignOverview("x", [Objective("score", "kcal/mol", "minimise")], 3, 99, 7, "runs/x"))
        seconds = {"fit": 12.3, "train": 123.4, "select": 1.0, "evaluate": 4321.0}
        for number in range(2):
            reporter.round(RoundSummary(number, 99_999, 12 * number, -1234.5, -1000.0, 0.81, 16, -0.53, seconds))
        reporter.note("a note")
        reporter.end(CampaignResult(99, [("CCO", (-1234.5,))]), 75.0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text.getvalue()).splitlines()  # without cursor movements
    rows = [line for line in lines if "99999" in line]
    assert len(rows) == 2
    assert all(len(line) <= 100 for line in rows)
    assert "12 failed" in rows[1]
    assert sum("scaff." in line for line in lines) == 1
    assert any("resuming after 7" in line for line in lines)
    assert any("al-loop export runs/x" in line for line in lines)


def _printed(width: int, report: Callable[[TerminalReporter], None]) -> list[str]:
    """Return the lines that a terminal of a width shows."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with make_reporter(quiet=False, verbose=False, console=console) as reporter:
        report(reporter)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text.getvalue()).splitlines()  # without cursor movements


@pytest.mark.parametrize("width", [40, 80])
def test_rows_and_objects_fit_narrow_terminals(width: int) -> None:
    name = "CC(C)(C)c1ccc(cc1)C(=O)NCCCN2CCN(CC2)c3cccc4ccccc34" * 2

    def report(reporter: TerminalReporter) -> None:
        reporter.begin(CampaignOverview("x", [Objective("score")], 3, 99, 0, "runs/x"))
        seconds = {"fit": 12.3, "train": 123.4, "select": 1.0, "evaluate": 4321.0}
        for number in range(2):
            summary = RoundSummary(number, 99_999, 12, -1234.5, -1000.0, 0.81, 16, -0.53, seconds, within_bounds=number)
            reporter.round(summary)
        reporter.end(CampaignResult(99, [(name, (-1234.5,))]), 75.0)

    lines = _printed(width, report)
    assert all(len(line) <= width for line in lines if "99999" in line or "CC(C)" in line or "keeps" in line)
    assert sum("99999" in line for line in lines) == 2
    assert sum("none keeps the bounds" in line for line in lines) == 1
    assert sum("…" in line for line in lines) == 1


def test_one_thing_is_in_the_singular_and_several_objectives_are_named() -> None:
    objectives = [Objective("gap", "eV", "minimise"), Objective("qed")]

    def report(reporter: TerminalReporter) -> None:
        reporter.begin(CampaignOverview("x", objectives, 1, 1, 1, "runs/x"))
        reporter.end(CampaignResult(1, [("CCO", (1.0, 2.0))], 1, 0.5, ""), 1.0)

    shown = "\n".join(_printed(100, report))
    for text in ("1 round, 1 oracle call,", "after 1 answer", "1 oracle answer;", "gap (eV), qed", "hypervolume 0.500"):
        assert text in shown
    plain: list[str] = []
    reporter = PlainReporter(write=plain.append)
    report(reporter)
    assert "best 1 | gap (eV) 1.000, qed 2.000 | CCO" in plain[-3]
    assert "hypervolume 0.500 | front 1" in plain[-1]


def test_where_nothing_keeps_the_bounds_the_last_line_says_so() -> None:
    plain: list[str] = []
    reporter = PlainReporter(write=plain.append)
    reporter.begin(CampaignOverview("x", [Objective("score")], 3, 99, 0, "runs/x"))
    reporter.round(RoundSummary(0, 9, 0, math.nan, math.nan, 0.8, None, math.nan, {}, within_bounds=0))
    reporter.end(CampaignResult(9, no_best="none of 9 measured objects keeps the bounds (c at least 3)"), 1.0)
    assert "best – | top-10 mean –" in plain[1]
    assert plain[1].endswith("none keeps the bounds")
    assert "none of 9 measured objects keeps the bounds" in plain[-1]


def test_lines_carry_the_date_once_the_day_has_changed() -> None:
    times = iter([datetime(2026, 11, 3, 23, 59)] * 2 + [datetime(2026, 11, 3, 23, 59, 59), datetime(2026, 11, 4, 0, 1)])
    plain: list[str] = []
    reporter = PlainReporter(write=plain.append, now=lambda: next(times))
    reporter.begin(CampaignOverview("x", [Objective("score")], 3, 99, 0, "runs/x"))
    for message in ("first", "second"):
        reporter.note(message)
    assert [line.partition(" note")[0] for line in plain[1:]] == ["23:59:59", "2026-11-04 00:01:00"]
