"""The values that surrogates learn, from observations of all kinds."""

import math

import numpy as np
import pytest

from al_loop.modelling.targets import read_target
from al_loop.modelling.transforms import TRANSFORMS
from tests.support.fitting import observation


def target(values, sign=1.0, transform="none", noise=None, censored=None):
    columns = {"censored": censored} if censored else {}
    observations = [
        observation("A", (0.0, v), noise=None if noise is None else (0.0, noise), **columns) for v in values
    ]
    return read_target(observations, 1, sign, TRANSFORMS[transform])


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("values", [(1e49, 0.0, 1.0, 2.0), (5e-324, -0.0, 1e-320, 3e-323), (1e-160, 2e-160, 3e-160)])
@pytest.mark.parametrize("noise", [None, 1e49, 1e-300, 0.0])
def test_extreme_values_become_numbers_that_can_be_squared(values, transform, noise):
    found = target(values, transform=transform, noise=noise)
    assert np.isfinite(found.Y.numpy() ** 2).all()
    assert found.Yvar is None or (found.Yvar <= 1e12).all()


def test_observations_without_the_value_are_left_out():
    found = target([3.0, math.nan, 1.0])
    assert found.rows.tolist() == [0, 2]
    assert found.certain_values(3).isnan().tolist() == [False, True, False]
    assert target([math.nan]) is None


@pytest.mark.parametrize(("sign", "side"), [(1.0, -1.0), (-1.0, 1.0)])
def test_a_bound_is_oriented_as_its_value(sign, side):
    assert target([1.0], sign, censored=(None, "<")).sides.tolist() == [side]
    assert target([1.0], sign, censored=("<", None)).sides is None


def test_an_upper_bound_is_no_certain_value():
    observations = [observation("A", (1.0,), censored=(side,)) for side in ("<", ">")]
    assert read_target(observations, 0, 1.0, TRANSFORMS["none"]).certain_values(2).isnan().tolist() == [True, False]
    assert read_target(observations, 0, -1.0, TRANSFORMS["none"]).certain_values(2).isnan().tolist() == [False, True]
