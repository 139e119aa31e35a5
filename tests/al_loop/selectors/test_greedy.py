import torch

from al_loop.selectors.base import SelectionContext
from al_loop.selectors.greedy import Greedy


def select(q: int, scores: list[float]) -> list[int]:
    return Greedy().select(SelectionContext(q, torch.tensor(scores), torch.zeros(len(scores), 1), lambda a, b: a @ b.T))


def test_the_best_are_picked_in_order():
    assert select(3, [0.1, 5.0, -2.0, 3.0]) == [1, 3, 0]


def test_equal_scores_keep_their_order_and_missing_ones_come_last():
    assert select(5, [1.0, float("nan"), 1.0, float("-inf"), 1.0]) == [0, 2, 4, 1, 3]


def test_fewer_candidates_than_asked_for_are_all_picked():
    assert select(9, [1.0, 2.0]) == [1, 0]
    assert select(3, []) == []
