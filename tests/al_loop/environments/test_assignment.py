import math

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.exact_distribution import terminal_distribution


class TestAnyOrder(EnvironmentContract):
    invalid = ("01", "0110", "012", "")
    is_small = True

    def make(self):
        return Assignments("01", 3)


class TestLeftToRight(EnvironmentContract):
    invalid = ("CuAu", "CuAuCuAuCu", "CuAuXxAu", "CuAuC")
    is_small = True

    def make(self):
        return Assignments(["Cu", "Au", "Ag"], 4, order="left_to_right")


def test_the_only_history_of_a_word_is_that_of_a_walk_back():
    environment = Assignments(["Cu", "Au", "Ag"], 4, order="left_to_right")
    words = environment.encode(["CuAuAgCu", "AgAgAgAg", "AuCuCuAg"])
    states, actions = environment.histories(words)
    walked, taken = environment.retrace(words, torch.zeros(4, 3, dtype=torch.int64))
    assert torch.equal(states, walked)
    assert torch.equal(actions, taken)
    assert torch.equal(backward_rollout(environment, None, words, generator=torch.Generator()).states, walked)
    assert Assignments("01", 4).histories(torch.zeros(1, 4, dtype=torch.int64)) is None


def test_each_word_has_as_many_histories_as_orders():
    environment = Assignments("01", 4)
    states = environment.encode(["0110", "1111"])
    assert environment.log_paths(states).tolist() == pytest.approx([math.log(24)] * 2)
    assert Assignments("01", 4, "left_to_right").log_paths(states).tolist() == [0, 0]


@pytest.mark.parametrize("order", ["any", "left_to_right"])
def test_uniform_actions_reach_all_words_equally(order):
    states, probabilities = terminal_distribution(Assignments("abc", 3, order), None)
    assert len(states) == 27
    assert torch.allclose(probabilities, torch.full((27,), 1 / 27, dtype=torch.float64))


@pytest.mark.slow
def test_any_order_is_exact_on_3_to_the_12_states():
    states, probabilities = terminal_distribution(Assignments("01", 12), None)
    assert len(states) == 4096
    assert torch.allclose(probabilities, torch.full((4096,), 1 / 4096, dtype=torch.float64))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("00", 3), "none twice"),
        ((["a", "bc"], 3), "same size"),
        (("01", 2.5), "length: must be a whole number of at least 1, got 2.5"),
        (("01", 0), "at least 1"),
        (("01", 3, "random"), "any, left_to_right"),
    ],
)
def test_invalid_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Assignments(*arguments)
