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
