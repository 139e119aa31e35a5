import math

import numpy as np
import pytest

from al_loop.monitoring.recalibration import recalibration_factor
from tests.support.predictions import predicted

NAN = math.nan


def test_without_answers_nothing_is_recalibrated():
    assert recalibration_factor(np.array([]), np.array([], dtype=int)) == 1.0
    assert recalibration_factor(np.array([3.0]), np.array([1])) == 1.0


@pytest.mark.parametrize("off", [0.6, 1.0, 2.0])
def test_recalibration_finds_how_far_off_the_deviations_are(off):
    factors = []
    for seed in range(40):
        mean, std, measured = predicted(160, seed, off)
        factors.append(recalibration_factor((measured - mean) / std, np.repeat(np.arange(1, 11), 16)))
    # rounds of 16 count 1, 0.7, 0.49, ...: 52 answers, beside 20 of the prior
    assert np.mean(factors) == pytest.approx(math.sqrt((20 + 52 * off**2) / 72), rel=0.05)
    assert np.std(factors) < 0.12


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_small_batches_are_recalibrated_like_larger_ones(batch):
    def factor(seed, off):
        residuals = off * np.random.default_rng(seed).normal(size=60)
        return recalibration_factor(residuals, np.arange(60) // batch)

    assert np.mean([factor(seed, 1.0) for seed in range(100)]) == pytest.approx(1.0, abs=0.05)
    # groups of at least 8 count 1, 0.7, 0.49, ...: 24 answers or more beside 20 of the prior
    assert np.mean([factor(seed, 2.0) for seed in range(100)]) > 0.95 * math.sqrt((20 + 24 * 2.0**2) / 44)


def test_residuals_that_are_not_finite_tell_nothing():
    residuals, rounds = np.array([2.0, -2.0, 1.0, -3.0] * 4), np.repeat([1, 2], 8)
    spoilt = np.concatenate([residuals, [NAN, np.inf, -np.inf]])
    assert recalibration_factor(spoilt, np.concatenate([rounds, [3, 3, 2]])) == recalibration_factor(residuals, rounds)


def test_a_few_answers_move_the_factor_little():
    factor = recalibration_factor(np.array([2.5, -2.5, 2.0]), np.array([1, 1, 1]))
    assert 1.0 < factor < 1.5


def test_a_common_shift_of_a_round_is_no_matter_of_the_deviations():
    mean, std, measured = predicted(40, bias=3.0)
    assert recalibration_factor((measured - mean) / std, np.ones(40, dtype=int)) == pytest.approx(1.0, abs=0.2)


def test_recent_rounds_weigh_more():
    small, large = np.array([0.2, -0.2] * 20), np.array([3.0, -3.0] * 20)
    rounds = np.repeat([1, 6], 40)
    assert recalibration_factor(np.concatenate([small, large]), rounds) > recalibration_factor(
        np.concatenate([large, small]), rounds
    )


def test_one_odd_answer_does_not_spoil_the_factor():
    mean, std, measured = predicted(40)
    measured[0] = 1e6
    assert recalibration_factor((measured - mean) / std, np.ones(40, dtype=int)) < 1.4
