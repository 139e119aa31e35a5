import math

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from al_loop.monitoring.scores import score, score_by_distance
from tests.support.predictions import predicted

NAN = math.nan


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
    groups = score_by_distance(mean, std, measured, nearest)
    assert {name: g.n for name, g in groups.items()} == {"near": 12, "middle": 7, "far": 11}
    assert groups["far"] == score(mean[:11], std[:11], measured[:11])
    assert set(score_by_distance(mean[:3], std[:3], measured[:3], nearest[:3])) == {"far"}
