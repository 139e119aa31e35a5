import pytest

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact import terminal_states


class TestHypergrid2x8(EnvironmentContract):
    invalid = ("8,0", "1", "1,2,3", "-1,0", "a,b", "", "1.5,0")

    def make(self):
        return Hypergrid(2, 8)


class TestHypergrid4x3(EnvironmentContract):
    invalid = ("3,0,0,0",)

    def make(self):
        return Hypergrid(4, 3)


def test_every_point_is_reached_once():
    states = terminal_states(Hypergrid(2, 8))
    assert len(set(Hypergrid(2, 8).decode(states))) == len(states) == 64


def test_a_batch_of_bad_points_is_refused():
    with pytest.raises(ValueError, match="2 dimensions"):
        Hypergrid(2, 8).encode(["1,2,3", "1,2,3", "1,2,3"])
    with pytest.raises(ValueError, match="2 dimensions"):
        Hypergrid(2, 8).encode(["1", "1", "1"])


@pytest.mark.parametrize("arguments", [(0, 8), (2, 1)])
def test_no_grid_without_room(arguments):
    with pytest.raises(ValueError, match="dimensions >= 1 and height >= 2"):
        Hypergrid(*arguments)
