"""Forests: the contract, Catalan numbers of trees, and the number of ways to build each."""

import math

import pytest
import torch

from al_loop.environments.forest import Forests
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_distribution


class TestForests(EnvironmentContract):
    invalid = ("(S 0)", "(X 0 1)", "(S 1 0)", "(S 0 1", "0", "(S 0 1 2)", "(S 0 (S 1 (S 2 (S 3 4))))", "")
    is_small = True

    def make(self):
        return Forests(["S", "NP"], 4)


class TestForestsFromLeftToRight(TestForests):
    def make(self):
        return Forests(["S", "NP"], 4, "left_to_right")


class TestForestsFromTheRootDown(TestForests):
    def make(self):
        return Forests(["S", "NP"], 4, "top_down")


@pytest.mark.parametrize("order", ["any", "left_to_right", "top_down"])
@pytest.mark.parametrize(("n_words", "n_trees"), [(2, 1), (3, 2), (4, 5), (5, 14)])
def test_there_are_as_many_trees_as_the_catalan_number(n_words, n_trees, order):
    space = Forests(["A", "B"], 5, order)
    states, probabilities = terminal_distribution(space, None, space.start(torch.tensor([n_words])))
    assert len(states) == n_trees * 2 ** (n_words - 1)
    assert float(probabilities.sum()) == pytest.approx(1)
    assert len(set(space.decode(states))) == len(states)


def test_a_tree_reads_as_it_is_written():
    space = Forests(["S", "NP"], 5)
    text = "(S (NP 0 1) (S 2 (NP 3 4)))"
    assert space.decode(space.encode([text])) == [text]
    state = space.encode(["(S 0 (NP 1 2))"])
    assert state[0, 0] == 3
    assert space.decode(state) == ["(S 0 (NP 1 2))"]


def test_nodes_arise_before_their_parents():
    space = Forests(["A"], 4)
    balanced, chain = space.encode(["(A (A 0 1) (A 2 3))", "(A 0 (A 1 (A 2 3)))"])
    assert space.backward_mask(torch.stack([balanced, chain])).tolist() == [[False, True, False], [True, False, False]]
    assert space.log_paths(torch.stack([balanced, chain])).tolist() == pytest.approx([math.log(2), 0.0])


@pytest.mark.parametrize(
    ("order", "histories", "first", "allowed"),
    [
        # after the node over words 2 and 3
        ("left_to_right", [[0, 3, 2, 1], [0, 2, 1, 3]], 2, [False, True, False, True]),
        # a node arises after its parent and its left sister; after the split into words 0 and 1, and the rest
        ("top_down", [[1, 0, 2, 3], [3, 1, 0, 2]], 1, [True, False, False, False]),
    ],
)
def test_in_these_orders_each_tree_has_one_history(order, histories, first, allowed):
    space = Forests(["A"], 5, order)
    states = space.encode(["(A (A 0 1) (A 2 (A 3 4)))", "(A (A (A 0 1) (A 2 3)) 4)"])
    assert space.log_paths(states).tolist() == [0.0, 0.0]
    gaps = []
    for _ in range(4):
        mask = space.backward_mask(states)
        assert mask.sum(1).tolist() == [1, 1]
        gaps.append(mask.int().argmax(1))
        states = space.backward_step(states, gaps[-1])
    assert torch.stack(gaps[::-1], 1).tolist() == histories
    after = space.step(space.start(torch.tensor([5])), torch.tensor([first]))
    assert space.forward_mask(after).tolist() == [allowed]


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="order: 'right' is not one of any, left_to_right, top_down"):
        Forests(["A"], 4, "right")


@pytest.mark.parametrize(
    ("labels", "length", "message"),
    [([], 4, "at least one name"), (["A", "A"], 4, "twice"), (["A B"], 4, "without blanks"), (["A"], 1, "at least 2")],
)
def test_impossible_arguments_are_refused(labels, length, message):
    with pytest.raises(ValueError, match=message):
        Forests(labels, length)
