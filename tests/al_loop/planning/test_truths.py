import math

import numpy as np
import pytest
import torch

from al_loop.campaign.preparation import prepare
from al_loop.config import parse_config
from al_loop.modelling.transforms import Standardise
from al_loop.planning.beliefs import believed_world, draw_pool, values_given_noisy
from al_loop.planning.settings import PlanSettings
from al_loop.planning.truths import Anchors, DrawnFunction, DrawnObjective, DrawnTruth, MeasuredTruth
from al_loop.surrogates.gp import Belief
from al_loop.surrogates.kernels.elementary import Hamming

KERNEL = Hamming(1.0)
WORDS = ["AAA", "AAC", "ACC", "CCC", "CAC", "CCA"]


def one_hot(words):
    return torch.tensor([[float(letter == other) for letter in word for other in "AC"] for word in words])


X = one_hot(WORDS)


def test_a_function_that_is_drawn_bit_by_bit_has_the_covariance_of_the_kernel():
    belief, anchors = Belief(KERNEL, 2.0, 4.0, 0.1), Anchors.of(Belief(KERNEL, 2.0, 4.0, 0.1), X[:3])
    draws = []
    for seed in range(4000):
        function = DrawnFunction(belief, anchors, torch.empty(0, dtype=torch.float64), seed)
        draws.append(torch.cat([function.at_anchors(), function.at(X[3:5]), function.at(X[5:])]).numpy())
    assert np.mean(draws, axis=0) == pytest.approx([2.0] * 6, abs=0.15)
    assert np.cov(np.array(draws).T) == pytest.approx(4.0 * KERNEL(X, X).numpy(), abs=0.35)


def test_a_function_passes_through_what_is_known():
    belief = Belief(KERNEL, 0.0, 1.0, 0.1)
    known = torch.tensor([1.5, -0.5], dtype=torch.float64)
    function = DrawnFunction(belief, Anchors.of(belief, X[:4]), known, 3)
    assert function.at_anchors()[:2].tolist() == pytest.approx([1.5, -0.5], abs=1e-6)


def test_values_given_noisy_measurements_have_the_posterior_of_a_dense_solve():
    belief = Belief(KERNEL, 0.5, 2.0, 0.3)
    T, y = KERNEL(X, X), torch.tensor([1.0, 0.2, -0.4, 2.0, 0.0, 0.7], dtype=torch.float64)
    L = torch.linalg.cholesky(T)
    draws = np.array([values_given_noisy(belief, L, y, seed).numpy() for seed in range(4000)])
    R = T + 0.3 * torch.eye(6)
    mean = 0.5 + T @ torch.linalg.solve(R, y - 0.5)
    covariance = 2.0 * (T - T @ torch.linalg.solve(R, T))
    assert draws.mean(0) == pytest.approx(mean.numpy(), abs=0.05)
    assert np.cov(draws.T) == pytest.approx(covariance.numpy(), abs=0.05)


def truth(measured=(), failure_rate=0.0, correlations=(), limit=math.inf, n_seeds=1):
    belief = Belief(KERNEL, 0.0, 1.0, 0.2)
    anchors = Anchors.of(belief, X[:3])
    made = []
    for seed in range(n_seeds):
        function = DrawnFunction(belief, anchors, torch.empty(0, dtype=torch.float64), seed)
        objective = DrawnObjective(function, belief, Standardise().fit(np.array([-1.0, 1.0])), -1.0, limit)
        made.append(DrawnTruth([objective], one_hot, WORDS[:3], dict(measured), failure_rate, correlations, seed))
    return made if n_seeds > 1 else made[0]


def test_an_object_has_the_same_answer_whenever_it_is_asked_for():
    oracle = truth()
    later, first = oracle.measure(["CCC", "CAC"], 0), oracle.measure(["AAA"], 0)
    assert oracle.measure(["CAC", "AAA", "CCC"], 0) == [later[1], first[0], later[0]]


def test_measured_objects_keep_their_answers_and_others_may_fail():
    oracle = truth({"AAA": (7.0,), "AAC": None}, failure_rate=1.0)
    assert oracle.measure(["AAA", "AAC", "ACC"], 0) == [(7.0,), None, None]


def test_no_value_is_better_than_the_limit():
    values = [v[0] for oracle in truth(limit=0.1, n_seeds=40) for v in oracle.measure(WORDS, 0)]
    assert min(values) == -0.1  # minimised: the oriented values end at 0.1
    assert max(values) > 0.5


def test_a_cheaper_fidelity_follows_the_target_as_closely_as_its_correlation_says():
    pairs = [
        (o.measure(["CCC"], 0)[0][0], o.measure(["CCC"], 1)[0][0]) for o in truth(correlations=(0.9,), n_seeds=1500)
    ]
    assert np.corrcoef(np.array(pairs).T)[0, 1] == pytest.approx(0.9, abs=0.05)


def test_a_table_answers_what_it_has():
    assert MeasuredTruth({"a": (1.0,), "b": None}).measure(["b", "a"], 0) == [None, (1.0,)]


def test_functions_that_exceed_the_limit_are_drawn_again():
    config = {
        "name": "limited",
        "environment": {"kind": "sequence", "alphabet": "ACGT", "length": 5},
        "oracle": {"target": "builtins:len"},
    }
    parts = prepare(parse_config(config))
    n_at_limit = []
    for limit in (None, 2.0):
        settings = PlanSettings("5%", calls=(4,), simulations=30, limit=limit)
        world = believed_world(parts, settings, draw_pool(parts, 200), ())
        values = np.array([[v[0] for v in sample if v] for sample in world.sample])
        n_at_limit.append(int((values >= 2.0).sum()))
    assert values.max() <= 2.0
    assert 0 < n_at_limit[1] < 0.8 * n_at_limit[0]  # the noise of an answer may still reach the limit


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_function_keeps_a_limit_that_none_of_its_values_exceeds(sign):
    belief = Belief(KERNEL, 0.0, 1.0, 0.01)
    function = DrawnFunction(belief, Anchors.of(belief, one_hot(WORDS)), torch.empty(0, dtype=torch.float64), 3)
    best, scale = float(function.at_anchors().max()), Standardise().fit(np.array([-1.0, 1.0]))
    kept = [DrawnObjective(function, belief, scale, sign, best + d).keeps_limit() for d in (-0.01, 0.01, math.inf)]
    assert kept == [False, True, True]
