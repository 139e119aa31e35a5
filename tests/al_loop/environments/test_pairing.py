"""Pairings: the contract, the number of structures, and other numbers of positions."""

import pytest
import torch

from al_loop.environments.pairing import Pairings
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_distribution, terminal_states


class TestPairings(EnvironmentContract):
    invalid = ("(.)", "((..)", "...)", "x", "........", "")
    is_small = True

    def make(self):
        return Pairings(7)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (4, 1), (5, 2), (6, 4), (7, 8), (8, 16), (9, 32), (10, 65)])
def test_there_are_as_many_structures_as_in_the_literature(n, count):
    """The numbers of Stein and Waterman (1979) for loops of at least 3."""
    assert len(terminal_states(Pairings(n))) == count


def test_shorter_sequences_have_their_own_structures():
    space = Pairings(8)
    states, probability = terminal_distribution(space, None, space.start(torch.tensor([5])))
    assert sorted(space.decode(states)) == ["(...)", "....."]
    assert float(probability.sum()) == pytest.approx(1)
    assert torch.equal(space.encode(space.decode(states)), states)


def test_pairs_never_cross():
    space = Pairings(10, loop=0)
    for text in space.decode(terminal_states(Pairings(6, loop=0))):
        depth = 0
        for character in text:
            depth += {"(": 1, ")": -1, ".": 0}[character]
            assert depth >= 0
        assert depth == 0
    with pytest.raises(ValueError, match="closes none"):
        space.encode([")("])
