import math

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.hypergrid.rewards import corners, cosine, deceptive, sparse
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.exact_distribution import terminal_states


class TestHypergrid2x8(EnvironmentContract):
    invalid = ("8,0", "1", "1,2,3", "-1,0", "a,b", "", "1.5,0")
    is_small = True

    def make(self):
        return Hypergrid(2, 8)


class TestHypergrid4x3(EnvironmentContract):
    invalid = ("3,0,0,0",)
    is_small = True

    def make(self):
        return Hypergrid(4, 3)


class TestLargeHypergrid(EnvironmentContract):
    invalid = ("64,0,0,0,0,0",)

    def make(self):
        return Hypergrid(6, 64)


def test_every_point_is_reached_once():
    states = terminal_states(Hypergrid(2, 8))
    assert len(set(Hypergrid(2, 8).decode(states))) == len(states) == 64


def test_a_batch_of_bad_points_is_refused():
    with pytest.raises(ValueError, match="2 coordinates"):
        Hypergrid(2, 8).encode(["1,2,3", "1,2,3", "1,2,3"])
    with pytest.raises(ValueError, match="2 coordinates"):
        Hypergrid(2, 8).encode(["1", "1", "1"])


@pytest.mark.parametrize("arguments", [(0, 8), (2, 1), (2.5, 8), (2, 2.5)])
def test_no_grid_without_room(arguments):
    with pytest.raises(ValueError, match=r"^(dimensions|height): must be a whole number of at least [12], got"):
        Hypergrid(*arguments)


def test_features_are_one_hot_coordinates():
    environment = Hypergrid(2, 4)
    assert environment.features(environment.encode(["1,3"])).tolist() == [[0, 1, 0, 0, 0, 0, 0, 1]]


def test_paths_to_a_point_are_a_multinomial_coefficient():
    paths = Hypergrid(3, 8).log_paths(Hypergrid(3, 8).encode(["2,3,4", "7,0,0"])).exp()
    assert paths.tolist() == pytest.approx([math.factorial(9) / (2 * 6 * 24), 1])


# rewards by torchgfn 2.4.1 (gfn.gym.hypergrid: OriginalReward, CosineReward, SparseReward, DeceptiveReward)
POINTS = {
    8: ["0,0", "1,1", "1,6", "2,2", "3,3", "0,3"],
    16: ["2,2", "13,2", "0,0", "3,12", "7,7", "2,7"],
}


@pytest.mark.parametrize(
    ("reward", "height", "expected"),
    [
        (corners, 8, [0.6, 2.6, 2.6, 0.1, 0.1, 0.1]),
        (corners, 16, [2.6, 2.6, 0.6, 0.6, 0.1, 0.1]),
        (cosine, 8, [0.1006091, 0.1078473, 0.1078473, 0.1131765, 0.1005796, 0.1005942]),
        (cosine, 16, [0.109652, 0.109652, 0.1006091, 0.1004844, 0.1632891, 0.1247157]),
        (sparse, 8, [1e-12, 1e-12, 1, 1e-12, 1e-12, 1e-12]),
        (sparse, 16, [1e-12] * 6),
        (deceptive, 8, [1e-5, 2.00001, 2.00001, 1e-5, 0.10001, 0.10001]),
        (deceptive, 16, [2.00001, 2.00001, 1e-5, 1e-5, 0.10001, 0.10001]),
    ],
)
def test_rewards_are_those_of_torchgfn(reward, height, expected):
    states = Hypergrid(2, height).encode(POINTS[height])
    log_rewards = reward(states, height)
    assert log_rewards.dtype == torch.float32
    assert log_rewards.double().exp().tolist() == pytest.approx(expected, rel=1e-5)
    states[:, -1] = 0
    assert torch.equal(reward(states, height), log_rewards), "an unfinished point has the reward of its coordinates"


@pytest.mark.parametrize("height", [8, 11, 16, 21, 32, 64])
def test_corners_are_the_formula_of_the_paper(height):
    """In exact fractions, also where a coordinate lies on a border (0.1 = 1 / 10 of height 11)."""
    from fractions import Fraction

    expected = []
    for x in range(height):
        distance = abs(Fraction(x, height - 1) - Fraction(1, 2))
        is_mode = Fraction(3, 10) < distance < Fraction(4, 10)
        expected.append(0.01 + 0.7 * (distance > Fraction(1, 4)) + 3 * is_mode)
    states = Hypergrid(1, height).encode([str(x) for x in range(height)])
    assert corners(states, height, 0.01, 0.7, 3.0).exp().tolist() == pytest.approx(expected, rel=1e-5)


def test_a_plateau_needs_all_coordinates():
    states = Hypergrid(3, 8).encode(["1,1,3", "1,1,0", "1,1,6"])
    assert corners(states, 8).exp().tolist() == pytest.approx([0.1, 0.6, 2.6], rel=1e-5)


def test_sparse_points_are_counted():
    """All corners of 1 and height - 2 but the one next to the origin: 2^3 - 1."""
    states = terminal_states(Hypergrid(3, 8))
    assert int((sparse(states, 8) > -1).sum()) == 7
    assert sparse(Hypergrid(3, 8).encode(["1,1,1"]), 8).item() == pytest.approx(math.log(1e-12))
