"""Exact distributions against counting by hand."""

import pytest

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet.exact_distribution import object_distribution, terminal_distribution, terminal_states


def test_uniform_actions_reach_words_with_known_probabilities():
    assert object_distribution(Sequences("AC", 2), None) == pytest.approx(dict.fromkeys(["AA", "AC", "CA", "CC"], 0.25))
    p = object_distribution(Sequences("AC", 2, 1), None)  # after a letter: A, C or stop
    assert p == pytest.approx({"A": 1 / 6, "C": 1 / 6, **dict.fromkeys(["AA", "AC", "CA", "CC"], 1 / 6)})


def test_paths_that_meet_add_up():
    p = object_distribution(Hypergrid(2, 2), None)
    assert p == pytest.approx({"0,0": 1 / 3, "1,0": 1 / 6, "0,1": 1 / 6, "1,1": 1 / 3})


def test_terminal_states_are_those_of_the_distribution():
    states, probabilities = terminal_distribution(Hypergrid(2, 3), None)
    assert terminal_states(Hypergrid(2, 3)).equal(states)
    assert len(states) == 9
    assert float(probabilities.sum()) == pytest.approx(1)
