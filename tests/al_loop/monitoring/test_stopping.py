import math

import pytest

from al_loop.monitoring.forecast import Forecast
from al_loop.monitoring.stopping import stop_reason

NAN = math.nan


COMING = Forecast(0.1, 0.3, 5.1, 5.0, 5.4)


@pytest.mark.parametrize(
    ("rules", "goal", "coming", "reason"),
    [
        ({}, "maximise", COMING, None),
        ({"reached": 5.0}, "maximise", None, "reached"),
        ({"reached": 5.1}, "maximise", None, None),
        ({"reached": 5.1}, "minimise", None, "reached"),
        ({"no_progress": 2}, "maximise", None, "no_progress"),
        ({"no_progress": 3}, "maximise", None, None),
        ({"expected_improvement": 0.2}, "maximise", COMING, "expected_improvement"),
        ({"expected_improvement": 0.2}, "maximise", None, None),
        ({"expected_improvement": 0.05}, "maximise", COMING, None),
        ({"probability": 0.5}, "maximise", COMING, "probability"),
        ({"probability": 0.2}, "maximise", COMING, None),
    ],
)
def test_stop_rules_hold_as_they_say(rules, goal, coming, reason):
    found = stop_reason(rules, [4.0, 5.0, 5.0, 5.0], goal, coming)
    assert (found is None) if reason is None else found.startswith(f"stop.{reason}:")


def test_before_anything_was_measured_no_rule_holds():
    assert stop_reason({"reached": 1.0, "no_progress": 1}, [], "maximise", None) is None
    assert stop_reason({"reached": 1.0, "no_progress": 1}, [NAN], "maximise", None) is None
