import json
import math

import numpy as np
import pytest

from al_loop.errors import ConfigError
from al_loop.planning.record import FILE, read_plan
from al_loop.planning.settings import PlanSettings
from al_loop.planning.standing import standing
from tests.support.plans import make_plan


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_chance_and_band_are_those_of_the_simulations(direction):
    plan = make_plan(direction)
    sign = plan.sign
    assert plan.chance(10)[0] == pytest.approx(10 / 40)  # 3.0 to 3.9
    assert plan.chance(20)[0] == pytest.approx(20 / 40)
    assert plan.chance(10)[1] == pytest.approx(0.07, abs=0.01)
    low, middle, high = (sign * value for value in plan.band(10))
    assert (low, middle, high) == pytest.approx((0.31, 1.95, 3.59))


def test_time_counts_the_waves_of_each_round():
    plan = make_plan()
    assert plan.hours(plan.main, 12) == 3.0 * (3 + 3 + 1)  # 5, 5 and 2 calls on two workers
    assert plan.main.rounds(12) == 3


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_a_best_value_below_which_hardly_any_simulation_reached_the_goal_is_named(direction):
    plan = make_plan(direction)  # simulations 20 to 39 reach it: of 0 to 21, two do, 9 %
    assert plan.stop_below(10) == pytest.approx(plan.sign * 2.1)
    assert any(line.startswith("When to stop") for line in plan.lines())


def test_variants_are_compared_on_the_same_oracles_and_the_largest_equal_batch_is_recommended():
    plan = make_plan(others=[("batches of 2", "batch", 2, 0.0), ("batches of 10", "batch", 10, -0.5)])
    assert plan.best_batch().batch_size == 5
    texts = [line for line in plan.lines() if line.startswith("Batches of")]
    assert "no better or worse" in texts[0]
    assert "worse than the config by 0.625 eV" in texts[1]


def test_a_plan_is_read_as_it_was_written(tmp_path):
    plan = make_plan(others=[("batches of 2", "batch", 2, 0.1)])
    plan.main.curves[3, :4] = math.nan
    assert plan.save(tmp_path / "run") == tmp_path / "run" / FILE
    again = read_plan(tmp_path / "run")
    assert again is not None
    np.testing.assert_allclose(again.main.curves, plan.main.curves, rtol=1e-5)
    assert again.lines() == plan.lines()
    json.loads((tmp_path / "run" / FILE).read_text())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 1}', '{"version": 99}', "\x00"])
def test_a_file_that_is_no_plan_is_none(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert read_plan(tmp_path) is None
    assert read_plan(tmp_path / "nowhere") is None


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_a_campaign_is_placed_among_the_simulations_that_stood_alike(direction):
    plan = make_plan(direction)
    high = standing(plan, 10, plan.sign * 2.95)
    low = standing(plan, 10, plan.sign * 0.25)
    assert high.share_below == pytest.approx(0.75)
    assert high.verdict == "on track"
    assert high.chances == {20: 1.0}
    assert low.verdict == "stop"
    assert low.chances == {20: 0.0}
    assert "Consider stopping" in low.sentences[-1]


def test_a_campaign_beyond_all_simulations_is_told_to_plan_again():
    plan = make_plan(goal=9.0)
    assert standing(plan, 10, -5.0).verdict == "outside"
    assert "plan again" in standing(plan, 10, 5.0).sentences[1]


def test_a_reached_goal_and_a_spent_plan_are_said():
    assert standing(make_plan(), 10, 3.2).verdict == "reached"
    spent = standing(make_plan(), 30, 1.5)
    assert spent.verdict == "stop"
    assert "ends at 20 calls" in spent.sentences[0]


def test_there_is_no_standing_before_a_value():
    assert standing(make_plan(), 0, 1.0) is None
    assert standing(make_plan(), 5, None) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"goal": "best"}, "expected a value"),
        ({"goal": "200%"}, "expected a value"),
        ({"goal": 1.0, "calls": (0,)}, "--calls"),
        ({"goal": 1.0, "simulations": 1}, "--simulations"),
        ({"goal": 1.0, "spread": 0.0}, "--spread"),
        ({"goal": 1.0, "batches": (0,)}, "--batches"),
        ({"goal": 1.0, "hours_per_call": 0.0}, "--hours-per-call"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PlanSettings(**settings)
