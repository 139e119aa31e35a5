import math

import numpy as np

from al_loop.modelling.objectives import CampaignObjectives

OBJECTIVES = CampaignObjectives((1, 0), ("price", "strength"), ("minimise", "maximise"))


def test_the_wanted_values_are_picked_and_failures_have_none():
    assert OBJECTIVES.optimised((1.0, 2.0, 3.0)) == (2.0, 1.0)
    assert all(math.isnan(v) for v in OBJECTIVES.optimised(None))
    assert OBJECTIVES.signs == (-1.0, 1.0)


def test_bounds_hold_on_measured_values():
    bounded = CampaignObjectives((0,), ("strength",), ("maximise",), bounds=((1, None, 5.0), (2, 0.0, 1.0)))
    values = [(9.0, 5.0, 0.0), (9.0, 5.1, 0.0), (9.0, 1.0, 1.1)]
    assert np.array_equal([bounded.are_within_bounds(v) for v in values], [True, False, False])


def test_a_bound_counts_only_for_what_is_certain():
    objectives = CampaignObjectives((0, 1), ("a", "b"), ("maximise", "minimise"), bounds=((2, 0.0, 5.0),))
    values = [(1.0, 2.0, 3.0)] * 6
    censored = [None, (">", "<", None), ("<", None, None), (None, ">", None), (None, None, "<"), (None, None, ">")]
    certain = objectives.certain(values, censored)
    assert np.isnan(certain).tolist() == [
        [False, False],
        [False, False],
        [True, False],
        [False, True],
        [False, False],
        [False, False],
    ]
    assert objectives.within_bounds(values, censored).tolist() == [True, True, True, True, False, False]
    upper = CampaignObjectives((0,), ("a",), ("maximise",), bounds=((2, None, 5.0),))
    assert upper.are_results(values, [True] * 6, censored).tolist() == [True, True, False, True, True, False]
