import math

import numpy as np
import pytest

from al_loop.monitoring.alarms import diversity_alarm, prediction_alarms, progress_alarm
from tests.support.predictions import predicted

NAN = math.nan


@pytest.mark.parametrize("n", [10, 16, 48, 100])
def test_good_predictions_hardly_ever_raise_an_alarm(n):
    rounds = 1000
    alarms = sum(bool(prediction_alarms(*predicted(n, seed), "maximise", "y")) for seed in range(rounds))
    assert alarms / rounds < 0.015


def test_errors_that_the_objects_of_a_batch_share_hardly_raise_an_alarm():
    # 5 % of the variance in common; batches picked by a Gaussian process on molecules had 4.3 % on average
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(1500):
        z = np.concatenate([0.05**0.5 * rng.normal() + 0.95**0.5 * rng.normal(size=16) for _ in range(3)])
        alarms += bool(prediction_alarms(np.zeros(48), np.ones(48), z, "maximise", "y"))
    assert alarms / 1500 < 0.02


@pytest.mark.parametrize(("off", "said"), [(2.0, "overconfident"), (0.3, "underconfident")])
def test_deviations_that_are_wrong_by_a_factor_are_found_within_48_answers(off, said):
    found = [prediction_alarms(*predicted(48, seed, off), "maximise", "y") for seed in range(100)]
    assert np.mean([any(a.name == "miscalibration" and said in a.message for a in alarms) for alarms in found]) > 0.9


@pytest.mark.parametrize(("goal", "bias"), [("maximise", -1.5), ("minimise", 1.5)])
def test_answers_that_fall_far_short_of_what_was_predicted_are_exploitation(goal, bias):
    found = prediction_alarms(*predicted(16, bias=bias), goal, "affinity")
    (alarm,) = [a for a in found if a.name == "exploitation"]
    assert alarm.message.startswith("affinity: the last 16 answers are on average")
    better = prediction_alarms(*predicted(16, bias=-bias), goal, "affinity")
    assert all(a.name != "exploitation" for a in better)


def test_few_answers_raise_no_alarm():
    assert prediction_alarms(*predicted(9, bias=-9.0), "maximise", "y") == []


def test_narrow_batches_raise_an_alarm():
    assert diversity_alarm([0.8, 0.7, 0.3], 0.0).name == "diversity"
    assert diversity_alarm([0.8, 0.7, 0.5], 0.0) is None
    assert diversity_alarm([0.8, 0.1], 0.0) is None  # two are too few to tell
    assert diversity_alarm([0.8, 0.7, 0.3, NAN], 0.0) is None  # it was told of that one before
    assert "60%" in diversity_alarm([0.8], 0.6).message


def test_no_progress_is_told_every_third_round():
    told = [progress_alarm([1.0] * n, "maximise") is not None for n in range(1, 9)]
    assert told == [False, False, False, True, False, False, True, False]
