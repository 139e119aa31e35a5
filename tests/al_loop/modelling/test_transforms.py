import numpy as np
import pytest
from scipy.stats import norm, yeojohnson

from al_loop.modelling.transforms import TRANSFORMS, PowerTransform

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


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_slopes_of_a_power_transform_are_its_derivatives(power):
    y = TARGETS["skewed"]
    fitted = PowerTransform(power, y)
    slopes = (fitted.forward(y + 1e-5) - fitted.forward(y - 1e-5)) / 2e-5
    assert fitted.log_jacobian(y) == pytest.approx(np.log(slopes * y.std()).sum(), abs=1e-4)


def test_ranks_are_normal_scores():
    fitted = TRANSFORMS["rank"].fit(np.array([10.0, 500.0, 20.0, 30.0]))
    scores = norm.ppf((np.arange(1, 5) - 0.375) / 4.25)
    assert fitted.forward(np.array([10.0, 20.0, 30.0, 500.0])) == pytest.approx(scores)
    assert fitted.forward(np.array([15.0])) == pytest.approx(scores[:2].mean())


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_noise_is_transformed_with_the_targets(name, share):
    """Also where targets lie so close to one another that a derivative tells of two of them alone."""
    y = TARGETS["skewed"]
    fitted, noise = TRANSFORMS[name].fit(y), share * y.std()
    draws = fitted.forward(y[:, None] + noise * np.random.default_rng(1).normal(size=(200, 2000)))
    found = fitted.variance(y, np.full(200, noise**2))
    assert np.median(found / draws.var(axis=1)) == pytest.approx(1.0, abs=0.2)
    assert (found < 3 * draws.var(axis=1)).all()
    assert fitted.variance(y, np.zeros(200)) == pytest.approx(0.0)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_surrogates_learn_the_same_in_any_unit(name, unit):
    y = TARGETS["skewed"]
    z = TRANSFORMS[name].fit(unit * y).forward(unit * y)
    assert z == pytest.approx(TRANSFORMS[name].fit(y).forward(y), abs=1e-5)
    assert 0.7 < z.std() < 1.3


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ranks_extrapolate_at_one_end_whatever_is_at_the_other(sign):
    y = sign * np.append(np.linspace(-11.0, -5.0, 60), 1e5)
    usual = sign * np.append(np.linspace(-11.0, -5.0, 60), -4.0)
    fitted, expected = (TRANSFORMS["rank"].fit(targets) for targets in (y, usual))
    beyond = sign * -3.0  # further than any of the good end
    assert fitted.inverse(np.array(beyond)) == pytest.approx(expected.inverse(np.array(beyond)), rel=0.02)
    assert abs(float(fitted.inverse(np.array(beyond)))) < 15


@pytest.mark.parametrize("name", TRANSFORMS)
def test_center_and_spread_are_those_of_samples(name):
    fitted = TRANSFORMS[name].fit(TARGETS["skewed"])
    mean, variance = np.array([0.1, -0.4]), np.array([0.09, 0.25])
    draws = fitted.inverse(mean + np.sqrt(variance) * np.random.default_rng(1).normal(size=(100_000, 2)))
    center, spread = fitted.center_and_spread(mean, variance)
    low, median, high = np.quantile(draws, norm.cdf([-1, 0, 1]), axis=0)
    assert center == pytest.approx(median, rel=0.02)
    assert spread == pytest.approx((high - low) / 2, rel=0.03)
