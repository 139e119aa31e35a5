"""Hypervolumes and fronts, against brute force."""

import math

import numpy as np
import pytest
import torch
from botorch.utils.multi_objective.hypervolume import Hypervolume

from al_loop.monitoring.metrics import hypervolume, non_dominated


@pytest.mark.parametrize("m", [2, 3, 4])
def test_hypervolume_and_front_are_those_of_brute_force(m):
    rng = np.random.default_rng(m)
    points = rng.uniform(size=(12, m))
    goals = ["maximise" if j % 2 else "minimise" for j in range(m)]
    raw = np.where([goal == "maximise" for goal in goals], points, 1 - points)
    reference = [0.0 if goal == "maximise" else 1.0 for goal in goals]
    darts = rng.uniform(size=(200_000, m))
    hit = np.zeros(len(darts), dtype=bool)
    for point in points:
        hit |= (darts <= point).all(1)
    assert hypervolume(raw, goals, reference) == pytest.approx(hit.mean(), abs=0.005)
    exact = Hypervolume(torch.zeros(m).double()).compute(torch.from_numpy(points[non_dominated(raw, goals)]))
    assert hypervolume(raw, goals, reference) == pytest.approx(exact)
    dominated = [any((q >= p).all() and (q > p).any() for q in points) for p in points]
    assert non_dominated(raw, goals).tolist() == [not d for d in dominated]


def test_what_is_not_finite_or_below_the_reference_has_no_volume():
    goals = ["maximise", "maximise"]
    assert hypervolume([[math.nan, 1.0], [-1.0, 5.0]], goals, (0.0, 0.0)) == 0.0
    assert hypervolume([[2.0, 3.0], [2.0, 3.0], [1.0, 1.0]], goals, (0.0, 0.0)) == 6.0
    assert non_dominated([[math.nan, 1.0], [0.0, 0.0]], goals).tolist() == [False, True]
