import numpy as np
import pytest
from scipy.stats import norm, yeojohnson

from al_loop.transforms import TRANSFORMS

RNG = np.random.default_rng(0)
TARGETS = {
    "skewed": np.exp(RNG.normal(size=200)),
    "skewed_down": 5 - np.exp(RNG.normal(size=200)),
    "tied": np.round(RNG.normal(size=100), 1),
    "one": np.array([3.0]),
    "equal": np.full(5, 2.0),
    "two": np.array([1.0, 4.0]),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("case", TARGETS)
def test_is_increasing_and_comes_back(name, case):
    y = TARGETS[case]
    fitted = TRANSFORMS[name].fit(y)
    asked = np.sort(np.concatenate([y, np.linspace(y.min() - 2, y.max() + 2, 41)]))
    z = fitted.forward(asked)
    assert np.isfinite(z).all()
    assert (np.diff(z)[np.diff(asked) > 1e-12] > 0).all()
    assert fitted.inverse(z) == pytest.approx(asked, abs=1e-8)


@pytest.mark.parametrize("name", ["yeo_johnson", "rank"])
@pytest.mark.parametrize("case", ["skewed", "skewed_down"])
def test_makes_skewed_targets_nearly_normal(name, case):
    def skewness(x):
        return float((((x - x.mean()) / x.std()) ** 3).mean())

    y = TARGETS[case]
    assert abs(skewness(TRANSFORMS[name].fit(y).forward(y))) < 0.25 * abs(skewness(y))


def test_yeo_johnson_is_scipys():
    y = TARGETS["skewed"]
    fitted = TRANSFORMS["yeo_johnson"].fit(y)
    expected, power = yeojohnson((y - y.mean()) / y.std())
    assert fitted.power == pytest.approx(power, abs=1e-4)
    assert fitted.forward(y) == pytest.approx(expected, abs=1e-3)


def test_ranks_are_normal_scores():
    fitted = TRANSFORMS["rank"].fit(np.array([10.0, 500.0, 20.0, 30.0]))
    scores = norm.ppf((np.arange(1, 5) - 0.375) / 4.25)
    assert fitted.forward(np.array([10.0, 20.0, 30.0, 500.0])) == pytest.approx(scores)
    assert fitted.forward(np.array([15.0])) == pytest.approx(scores[:2].mean())


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("case", ["skewed", "two", "one"])
def test_the_slope_is_that_of_the_transform(name, case):
    fitted = TRANSFORMS[name].fit(TARGETS[case])
    y = np.array([TARGETS[case].min() - 0.7, TARGETS[case].mean() + 0.01, TARGETS[case].max() + 1.3])
    step = 1e-6
    numerical = (fitted.forward(y + step) - fitted.forward(y - step)) / (2 * step)
    assert fitted.slope(y) == pytest.approx(numerical, rel=1e-4)
    assert fitted.variance(y, np.full(3, 4.0)) == pytest.approx(4 * numerical**2, rel=1e-3)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_center_and_spread_are_those_of_samples(name):
    fitted = TRANSFORMS[name].fit(TARGETS["skewed"])
    mean, variance = np.array([0.1, -0.4]), np.array([0.09, 0.25])
    draws = fitted.inverse(mean + np.sqrt(variance) * np.random.default_rng(1).normal(size=(100_000, 2)))
    center, spread = fitted.center_and_spread(mean, variance)
    low, median, high = np.quantile(draws, norm.cdf([-1, 0, 1]), axis=0)
    assert center == pytest.approx(median, rel=0.02)
    assert spread == pytest.approx((high - low) / 2, rel=0.03)
