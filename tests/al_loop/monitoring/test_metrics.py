import math
import warnings

import numpy as np
import pytest
from scipy.stats import spearmanr

from al_loop.monitoring import metrics


def test_top_k_mean_takes_the_good_end():
    values = [3.0, 1.0, float("nan"), 2.0, 5.0]
    assert metrics.top_k_mean(values, 2, "maximise") == 4.0
    assert metrics.top_k_mean(values, 2, "minimise") == 1.5
    assert metrics.top_k_mean(values, 10, "minimise") == 2.75
    assert math.isnan(metrics.top_k_mean([], 3, "maximise"))


def test_best_is_the_extreme():
    assert metrics.best([3.0, 1.0, float("nan")], "maximise") == 3.0
    assert metrics.best([3.0, 1.0, float("nan")], "minimise") == 1.0


def test_mean_pairwise_distance_leaves_the_diagonal_out():
    S = np.array([[1.0, 0.2, 0.4], [0.2, 1.0, 0.6], [0.4, 0.6, 1.0]])
    assert metrics.mean_pairwise_distance(S) == pytest.approx(0.6)
    assert math.isnan(metrics.mean_pairwise_distance(np.ones((1, 1))))
    assert math.isnan(metrics.mean_pairwise_distance(np.ones((0, 0))))


def test_scaffolds_are_those_of_bemis_and_murcko():
    assert metrics.scaffold("Cc1cc(Oc2nccc(CCC)c2)ccc1") == "c1ccc(Oc2ccccn2)cc1"
    assert metrics.scaffold("CCO") == ""
    assert metrics.scaffold("not a molecule") is None


def test_new_scaffolds_are_counted_once_and_only_if_unknown():
    batch = ["Cc1ccccc1", "CCc1ccccc1", "C1CCCCC1O", "c1ccncc1", "CCO", "not a molecule"]
    assert metrics.scaffolds(batch) == {"c1ccccc1", "C1CCCCC1", "c1ccncc1"}
    assert metrics.new_scaffolds(batch, reference=["Oc1ccccc1"]) == 2


def test_rank_correlation_is_spearmans_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 30), rng.normal(size=30)
    assert metrics.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert metrics.rank_correlation([1, 2, float("nan"), 3], [1, 4, 0, 9]) == pytest.approx(1.0)


@pytest.mark.parametrize(("x", "y"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [4, 4, 4])])
def test_rank_correlation_is_missing_without_a_warning(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(metrics.rank_correlation(x, y))


def test_rounds_without_progress_are_counted_from_the_last():
    assert metrics.rounds_without_progress([], "maximise") == 0
    assert metrics.rounds_without_progress([1.0], "maximise") == 0
    assert metrics.rounds_without_progress([1.0, 2.0, 2.0, 2.0], "maximise") == 2
    assert metrics.rounds_without_progress([1.0, 2.0, 2.0, 2.0], "minimise") == 3
    assert metrics.rounds_without_progress([math.nan, math.nan, 1.0, 1.0], "maximise") == 1
    assert metrics.rounds_without_progress([3.0, 2.0, 1.0], "minimise") == 0
