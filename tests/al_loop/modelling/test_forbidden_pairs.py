import math

import torch

from al_loop.features.one_hot import OneHot
from al_loop.modelling.forbidden_pairs import ForbiddenPairs, explains_failures

FEATURES = OneHot("ABCDE", 6)
LAYOUT = FEATURES.layout
FORBIDDEN = ("AB", "CE", "DD")


def words(n, seed=0):
    letters = torch.randint(5, (n, 6), generator=torch.Generator().manual_seed(seed))
    return ["".join("ABCDE"[i] for i in row) for row in letters.tolist()]


def is_feasible(word):
    return not any(pair in word for pair in FORBIDDEN)


def fitted(names, answered):
    return ForbiddenPairs.fit(LAYOUT, FEATURES(names), torch.tensor(answered))


def test_it_finds_the_forbidden_pairs_and_clears_those_that_occur_in_answers():
    names = words(300)
    model = fitted(names, [is_feasible(w) for w in names])
    new = words(200, seed=1)
    p = model.log_probability(FEATURES(new)).exp()
    truth = torch.tensor([is_feasible(w) for w in new])
    assert p[truth].min() > 0.9
    assert p[~truth].max() < 0.1


def test_a_failure_with_one_unknown_pair_convicts_it():
    model = fitted(["AAAAAA", "AAAAAC"], [True, False])
    assert math.exp(model.log_probability(FEATURES(["AAAAAC"]))) < 0.01
    assert model.log_probability(FEATURES(["AAAAAA"])) == 0


def test_a_failure_with_several_unknown_pairs_makes_each_suspicious():
    model = fitted(["AAAAAA", "AAACDA"], [True, False])
    p = model.log_probability(FEATURES(["AAAAAC", "AAAAAE"])).exp()
    assert p[0] < 1
    assert p[1] == 1  # never seen: it is tried


def test_failures_that_nothing_explains_do_no_harm():
    model = fitted(["AAAAAA", "AAAAAA"], [True, False])
    assert model.log_probability(FEATURES(["AAAAAA"])) == 0


def test_pairs_explain_failures_by_pairs_and_no_others_once_there_are_data():
    names = words(400)
    X = FEATURES(names)
    assert explains_failures(LAYOUT, X, torch.tensor([is_feasible(w) for w in names]))
    assert not explains_failures(LAYOUT, X, torch.rand(400, generator=torch.Generator().manual_seed(0)) < 0.5)
    assert not explains_failures(LAYOUT, X, torch.ones(400, dtype=torch.bool))
