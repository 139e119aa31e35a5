"""Several measurements of one object count once, as their mean."""

import math

import numpy as np
import pytest

from al_loop.modelling.objectives import Censored
from al_loop.modelling.replicates import means
from al_loop.system.plain_values import Bound

NAN = math.nan


def test_measurements_of_one_object_count_once_as_their_mean() -> None:
    found = means(["a", "b", "a", "a"], [[9.0, NAN], [5.0, 1.0], [3.0, 2.0], [NAN, NAN]])
    np.testing.assert_equal(found.values, [[6.0, 2.0], [5.0, 1.0], [6.0, 2.0], [NAN, NAN]])
    np.testing.assert_allclose(found.sems, [[3.0, NAN], [NAN, NAN], [3.0, NAN], [NAN, NAN]])
    assert found.counts.tolist() == [2, 1, 2, 1]
    assert found.is_first.tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("sides", "value", "side"),
    [((None, ">"), 4.0, ">"), (("<", "<"), 4.0, "<"), (("<", ">"), NAN, None), ((None, None), 4.0, None)],
)
def test_a_mean_of_bounds_is_one_if_they_are_on_one_side(
    sides: tuple[Bound | None, Bound | None], value: float, side: str | None
) -> None:
    censored: list[Censored] = [None if s is None else (s,) for s in sides]
    found = means(["a", "a"], [[3.0], [5.0]], censored)
    np.testing.assert_equal(found.values[0, 0], value)
    assert found.censored[0] == (None if side is None else (side,))


def test_without_repetitions_nothing_changes() -> None:
    values = np.array([[0.1], [NAN]])
    found = means([1, 2], values)
    np.testing.assert_array_equal(found.values, values)
    assert found.is_first.all()
    assert len(means([], np.empty((0, 2))).values) == 0
