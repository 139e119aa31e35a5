import pytest
import torch

from al_loop.features._similarity import min_max_similarity
from al_loop.selectors.base import SelectionContext
from al_loop.selectors.thompson import Thompson

X = torch.arange(6.0)[:, None]
SCORES = torch.tensor([0.0, 5.0, 1.0, 4.0, 2.0, 3.0])


def select(n, draws):
    def draw(rows, k, seed):
        assert seed == 7
        return draws[:k][:, rows[:, 0].long()]

    return Thompson().select(SelectionContext(n, SCORES, X, min_max_similarity, draw=draw, seed=7))


def test_each_pick_is_the_best_that_is_left_of_its_own_draw():
    draws = torch.tensor([[9.0, 0, 0, 8, 0, 0], [9.0, 0, 0, 8, 0, 0], [0, 1.0, 0, 0, 2, 3]])
    assert select(3, draws) == [0, 3, 5]


def test_among_equals_the_better_score_is_picked():
    assert select(2, torch.zeros(2, 6)) == [1, 3]


def test_what_is_not_told_is_named():
    with pytest.raises(ValueError, match=r"SelectionContext\.draw is required"):
        Thompson().select(SelectionContext(2, SCORES, X, min_max_similarity))
    assert Thompson().select(SelectionContext(3, SCORES[:0], X[:0], min_max_similarity)) == []
