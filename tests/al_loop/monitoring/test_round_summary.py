from __future__ import annotations

import math

from al_loop.monitoring.round_summary import RoundSummary


def test_a_rounds_numbers_leave_out_what_it_has_not() -> None:
    summary = RoundSummary(3, 40, 2, 9.5, math.nan, 0.7, None, math.nan, {"fit": 1.5, "first batch": 2.0})
    assert summary.metrics() == {
        "calls": 40,
        "failures": 2,
        "best": 9.5,
        "diversity": 0.7,
        "seconds_fit": 1.5,
        "seconds_first_batch": 2.0,
    }
