import math

import pytest

from al_loop.system.numbers import significant


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 2, "0"),
        (-0.0, 2, "0"),
        (0.0123, 2, "0.012"),
        (99.4, 2, "99"),
        (99.7, 2, "100"),
        (250.0, 2, "250"),
        (5000.0, 3, "5,000"),
        (-28_000_000.0, 2, "-28,000,000"),
        (9999.6, 4, "10,000"),
        (1234.56, 4, "1235"),
        (1e20, 2, "1e+20"),
        (1e-9, 2, "1e-09"),
        (math.inf, 2, "inf"),
        (math.nan, 2, "nan"),
    ],
)
def test_a_number_has_an_exponent_only_where_it_is_tiny_or_huge(value, digits, text):
    assert significant(value, digits) == text
