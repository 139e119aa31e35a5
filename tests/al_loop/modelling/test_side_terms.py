import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from al_loop.modelling.side_terms import OutcomeBound, SideTerms


class Model:
    """Mean and standard deviation are the row's first and second number."""

    def mean_and_variance(self, X):
        return X[:, 0], X[:, 1].square()


ROWS = torch.tensor([[0.0, 1.0], [2.0, 0.5], [-3.0, 2.0], [7.0, 0.1]], dtype=torch.float64)


@pytest.mark.parametrize(("low", "high"), [(None, 1.0), (-1.0, None), (-1.0, 2.5)])
def test_a_bound_is_kept_with_the_probability_of_the_normal_distribution(low, high):
    z_low = -np.inf if low is None else (low - ROWS[:, 0].numpy()) / ROWS[:, 1].numpy()
    z_high = np.inf if high is None else (high - ROWS[:, 0].numpy()) / ROWS[:, 1].numpy()
    # the difference on the side of 0 where it is not one of numbers near 1
    expected = np.where(z_low > 0, norm.sf(z_low) - norm.sf(z_high), norm.cdf(z_high) - norm.cdf(z_low))
    found = OutcomeBound(Model(), low, high).log_probability(ROWS)
    assert found[:3].exp().tolist() == pytest.approx(expected[:3].tolist(), rel=1e-9)
    assert float(found[3]) == pytest.approx(max(math.log(max(expected[3], 1e-300)), -60.0), rel=1e-9)


def test_far_outside_of_an_interval_the_log_probability_stays_exact():
    bound = OutcomeBound(Model(), 8.0, 9.0)
    row = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    expected = norm.logsf(8.0) + math.log1p(-math.exp(norm.logsf(9.0) - norm.logsf(8.0)))
    assert float(bound.log_probability(row)) == pytest.approx(expected, rel=1e-9)
    mirrored = OutcomeBound(Model(), -9.0, -8.0).log_probability(row)
    assert float(mirrored) == pytest.approx(expected, rel=1e-9)


def test_bounds_multiply():
    one, other = OutcomeBound(Model(), None, 1.0), OutcomeBound(Model(), -1.0, None)
    both = SideTerms(bounds=(one, other)).log_weight(ROWS)
    assert torch.allclose(both, one.log_probability(ROWS) + other.log_probability(ROWS))


def test_without_anything_to_expect_nothing_changes():
    assert SideTerms().log_weight(ROWS).tolist() == [0.0] * 4
