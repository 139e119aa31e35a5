import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from al_loop.monitoring.forecast import Forecast, forecast
from al_loop.monitoring.stopping import stop_reason

NAN = math.nan


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
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_before_anything_good_was_measured_a_batch_improves_on_nothing_that_could_be_told():
    found = forecast(np.array([1.0, 2.0]), NAN, "maximise")
    assert (found.expected_improvement, found.probability, found.expected_best) == (None, 1.0, 1.5)
    # as the ledger gives it back
    again = Forecast(**json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert stop_reason({"expected_improvement": 0.1, "probability": 0.1}, [NAN], "maximise", again) is None


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
    assert stop_reason({"probability": 0.1}, [NAN], "maximise", none) is not None
