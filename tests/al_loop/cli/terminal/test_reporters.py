"""Reporters for terminals and logs."""

from __future__ import annotations

import re

from al_loop.cli.terminal import make_reporter


def test_the_table_fits_a_terminal_of_100_columns() -> None:
    import io

    from rich.console import Console

    from al_loop.cli.terminal import CampaignOverview, CampaignResult
    from al_loop.monitoring.round_summary import RoundSummary
    from al_loop.oracles.base import Objective

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
