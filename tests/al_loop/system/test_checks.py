"""Checks of arguments."""

import math
from fractions import Fraction

import pytest

from al_loop.system.checks import in_range, instance_of, one_of, whole_number


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (2, {"low": 0, "high": 1}, "must be a number from 0 to 1, got 2"),
        (math.nan, {}, "must be a number, got nan"),
        (0, {"low": 0, "above": True}, "must be a number above 0, got 0"),
        (math.inf, {"low": 0, "below": True}, "must be a number at least 0 and finite, got inf"),
        (1, {"low": 0, "high": 1, "below": True}, "must be a number at least 0 and below 1, got 1"),
        (0, {"low": 0, "high": 1, "above": True}, "must be a number above 0 and at most 1, got 0"),
        ("1", {"low": 0}, "must be a number at least 0, got '1'"),
        (True, {"low": 0}, "must be a number at least 0, got True"),
    ],
)
def test_a_number_outside_its_range_is_refused(value, limits, expected):
    with pytest.raises(ValueError, match=f"^x: {expected}$"):
        in_range("x", value, **limits)


@pytest.mark.parametrize("value", [0, -0.5, math.inf, Fraction(1, 3)])
def test_numbers_in_the_range_are_accepted(value):
    in_range("x", value, -1)


@pytest.mark.parametrize("value", [0, 2.0, True, None, math.nan])
def test_only_whole_numbers_are_counts(value):
    with pytest.raises(ValueError, match=r"^x: must be a whole number of at least 1, got"):
        whole_number("x", value, 1)


def test_other_names_and_types_are_refused():
    with pytest.raises(ValueError, match=r"^x: 'unifrom' is not one of uniform, best; did you mean 'uniform'\?$"):
        one_of("x", "unifrom", ["uniform", "best"])
    with pytest.raises(ValueError, match=r"^x: must be a text, got 1$"):
        instance_of("x", 1, str, "a text")
