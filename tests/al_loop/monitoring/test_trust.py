import json
import math

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from al_loop.monitoring.trust import (
    Forecast,
    by_distance,
    diversity_alarm,
    forecast,
    prediction_alarms,
    progress_alarm,
    recalibration,
    rounds_without_progress,
    score,
    why_stop,
)

NAN = math.nan


def predicted(n, seed=0, off=1.0, bias=0.0):
    """Predictions, and answers that are ``off`` times as far from them as was said, and shifted by deviations."""
    rng = np.random.default_rng(seed)
    mean, std = rng.normal(size=n) * 3, rng.uniform(0.5, 2.0, size=n)
    return mean, std, mean + std * (off * rng.normal(size=n) + bias)


def test_scores_are_their_definitions():
    mean, std, measured = predicted(40)
    found = score(mean, std, measured)
    z = (measured - mean) / std
    assert found.n == 40
    assert found.rank_correlation == pytest.approx(spearmanr(mean, measured).statistic)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((measured - mean) ** 2)))
    assert found.nlpd == pytest.approx(-norm.logpdf(measured, mean, std).mean())
    assert found.bias == pytest.approx(z.mean())
    assert found.squared == pytest.approx((z**2).mean())
    for level in (50, 80, 95):
        inside = (measured >= norm.ppf(0.5 - level / 200, mean, std)) & (
            measured <= norm.ppf(0.5 + level / 200, mean, std)
        )
        assert found.coverage[str(level)] == pytest.approx(inside.mean())


def test_good_predictions_cover_what_they_say():
    found = score(*predicted(20_000))
    assert [found.coverage[k] for k in ("50", "80", "95")] == pytest.approx([0.5, 0.8, 0.95], abs=0.01)


def test_what_is_not_finite_is_left_out_and_nothing_has_no_scores():
    mean, std, measured = predicted(10)
    measured[3], mean[5], std[7] = NAN, NAN, 0.0
    assert score(mean, std, measured).n == 7
    empty = score(mean[:0], std[:0], measured[:0])
    assert (empty.n, empty.rmse, empty.coverage) == (0, None, {})
    assert score(mean[:2], std[:2], measured[:2]).rank_correlation is None


def test_scores_by_distance_are_those_of_the_groups():
    mean, std, measured = predicted(30)
    nearest = np.linspace(0, 1, 30)
    groups = by_distance(mean, std, measured, nearest)
    assert {name: g.n for name, g in groups.items()} == {"near": 12, "middle": 7, "far": 11}
    assert groups["far"] == score(mean[:11], std[:11], measured[:11])
    assert set(by_distance(mean[:3], std[:3], measured[:3], nearest[:3])) == {"far"}


def test_without_answers_nothing_is_recalibrated():
    assert recalibration(np.array([]), np.array([], dtype=int)) == 1.0
    assert recalibration(np.array([3.0]), np.array([1])) == 1.0


@pytest.mark.parametrize("off", [0.6, 1.0, 2.0])
def test_recalibration_finds_how_far_off_the_deviations_are(off):
    factors = []
    for seed in range(40):
        mean, std, measured = predicted(160, seed, off)
        factors.append(recalibration((measured - mean) / std, np.repeat(np.arange(1, 11), 16)))
    # rounds of 16 count 1, 0.7, 0.49, ...: 52 answers, beside 20 of the prior
    assert np.mean(factors) == pytest.approx(math.sqrt((20 + 52 * off**2) / 72), rel=0.05)
    assert np.std(factors) < 0.12


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_small_batches_are_recalibrated_like_larger_ones(batch):
    def factor(seed, off):
        residuals = off * np.random.default_rng(seed).normal(size=60)
        return recalibration(residuals, np.arange(60) // batch)

    assert np.mean([factor(seed, 1.0) for seed in range(100)]) == pytest.approx(1.0, abs=0.05)
    # groups of at least 8 count 1, 0.7, 0.49, ...: 24 answers or more beside 20 of the prior
    assert np.mean([factor(seed, 2.0) for seed in range(100)]) > 0.95 * math.sqrt((20 + 24 * 2.0**2) / 44)


def test_residuals_that_are_not_finite_tell_nothing():
    residuals, rounds = np.array([2.0, -2.0, 1.0, -3.0] * 4), np.repeat([1, 2], 8)
    spoilt = np.concatenate([residuals, [NAN, np.inf, -np.inf]])
    assert recalibration(spoilt, np.concatenate([rounds, [3, 3, 2]])) == recalibration(residuals, rounds)


def test_a_few_answers_move_the_factor_little():
    factor = recalibration(np.array([2.5, -2.5, 2.0]), np.array([1, 1, 1]))
    assert 1.0 < factor < 1.5


def test_a_common_shift_of_a_round_is_no_matter_of_the_deviations():
    mean, std, measured = predicted(40, bias=3.0)
    assert recalibration((measured - mean) / std, np.ones(40, dtype=int)) == pytest.approx(1.0, abs=0.2)


def test_recent_rounds_weigh_more():
    small, large = np.array([0.2, -0.2] * 20), np.array([3.0, -3.0] * 20)
    rounds = np.repeat([1, 6], 40)
    assert recalibration(np.concatenate([small, large]), rounds) > recalibration(np.concatenate([large, small]), rounds)


def test_one_odd_answer_does_not_spoil_the_factor():
    mean, std, measured = predicted(40)
    measured[0] = 1e6
    assert recalibration((measured - mean) / std, np.ones(40, dtype=int)) < 1.4


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


@pytest.mark.parametrize(("off", "said"), [(2.0, "too sure"), (0.3, "not sure enough")])
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


def test_rounds_without_progress_are_counted_from_the_last():
    assert rounds_without_progress([], "maximise") == 0
    assert rounds_without_progress([1.0], "maximise") == 0
    assert rounds_without_progress([1.0, 2.0, 2.0, 2.0], "maximise") == 2
    assert rounds_without_progress([1.0, 2.0, 2.0, 2.0], "minimise") == 3
    assert rounds_without_progress([NAN, NAN, 1.0, 1.0], "maximise") == 1
    assert rounds_without_progress([3.0, 2.0, 1.0], "minimise") == 0


def test_no_progress_is_told_every_third_round():
    told = [progress_alarm([1.0] * n, "maximise") is not None for n in range(1, 9)]
    assert told == [False, False, False, True, False, False, True, False]


def test_a_forecast_is_the_expected_improvement_of_the_batchs_best():
    rng = np.random.default_rng(0)
    bests = rng.normal(size=100_000)
    found = forecast(bests, 0.5, "maximise")
    expected = norm.pdf(0.5) - 0.5 * norm.sf(0.5)
    assert found.expected_improvement == pytest.approx(expected, abs=0.005)
    assert found.probability == pytest.approx(norm.sf(0.5), abs=0.005)
    assert found.expected_best == pytest.approx(0.5 + expected, abs=0.005)
    assert found.low == 0.5
    assert found.high == pytest.approx(norm.ppf(0.9), abs=0.02)
    mirrored = forecast(-bests, -0.5, "minimise")
    assert mirrored.expected_improvement == pytest.approx(found.expected_improvement)
    assert mirrored.high == pytest.approx(-found.high)


def test_before_anything_good_was_measured_a_batch_improves_on_nothing_that_could_be_told():
    found = forecast(np.array([1.0, 2.0]), NAN, "maximise")
    assert (found.expected_improvement, found.probability, found.expected_best) == (None, 1.0, 1.5)
    # as the ledger gives it back
    again = Forecast(**json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert why_stop({"expected_improvement": 0.1, "probability": 0.1}, [NAN], "maximise", again) is None


def test_a_batch_of_which_nothing_counts_brings_nothing():
    """Samples are infinitely bad where no object answers within its bounds."""
    bests = np.array([-np.inf, -np.inf, -np.inf, 3.0])
    found = forecast(bests, 1.0, "maximise")
    assert (found.expected_improvement, found.probability, found.expected_best) == (0.5, 0.25, 1.5)
    assert forecast(-bests, -1.0, "minimise").expected_best == -1.5
    first = forecast(bests, NAN, "maximise")
    assert (first.expected_improvement, first.probability, first.expected_best) == (None, 0.25, 3.0)
    none = forecast(bests[:3], NAN, "maximise")
    assert (none.probability, none.expected_best, none.low, none.high) == (0.0, None, None, None)
    assert why_stop({"probability": 0.1}, [NAN], "maximise", none) is not None


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
    found = why_stop(rules, [4.0, 5.0, 5.0, 5.0], goal, coming)
    assert (found is None) if reason is None else found.startswith(f"stop.{reason}:")


def test_before_anything_was_measured_no_rule_holds():
    assert why_stop({"reached": 1.0, "no_progress": 1}, [], "maximise", None) is None
    assert why_stop({"reached": 1.0, "no_progress": 1}, [NAN], "maximise", None) is None
