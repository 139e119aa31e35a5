"""The sampler's draws: requests, parts, and scores."""

import re

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.sampler import Draw, DrawRequest, Sampler

WORDS = Sequences("ACGU", 4, 2)


def sampler(log_reward=lambda objects: torch.tensor([1.0 * o.count("A") for o in objects])):
    torch.manual_seed(0)
    made = Sampler(WORDS, make_policy(WORDS, 8, 1))
    made.set_reward(log_reward)
    return made


def test_a_draw_depends_on_its_request_alone():
    request = DrawRequest(10, seed=3, epsilon=0.2)
    a, b, other = sampler().fill(request), sampler().fill(request), sampler().fill(DrawRequest(10, seed=4))
    assert a.objects == b.objects
    assert a.objects != other.objects
    assert a.log_reward.tolist() == [o.count("A") for o in a.objects]


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        sampler().draw(0, seed=0)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n": -1}, "n: must be a whole number of at least 0, got -1"),
        ({"per_condition": 0}, "per_condition: must be a whole number of at least 1, got 0"),
        ({"epsilon": 2}, "epsilon: must be a number from 0 to 1, got 2"),
        ({"temperature": -1}, "temperature: must be a number above 0 and finite, got -1"),
        ({"weights": [1, 2]}, "weights cannot be used, since they are not a condition of the sampler"),
        ({"start": WORDS.encode(["ACGU", "ACGU"])}, "is finished, so that no step can follow"),
        ({"start": WORDS.initial(3)}, "start: expected 2 x 6 numbers of type int64, got shape (3, 6)"),
    ],
)
def test_arguments_of_a_draw_that_make_no_sense_are_refused(arguments, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        sampler().draw(**{"n": 2, "seed": 0, **arguments})


@pytest.mark.parametrize("index", [-1, 3])
def test_a_condition_that_there_is_not_is_refused(index):
    space = Conditioned(WORDS, torch.eye(3))
    start = space.start(torch.tensor([index]))
    with pytest.raises(ValueError, match=f"condition: expected an index from 0 to 2, got {index}"):
        Sampler(space, make_policy(space, 8, 1)).draw(1, seed=0, start=start)


def test_conditions_without_a_column_are_refused():
    with pytest.raises(ValueError, match="at least one row and one column"):
        Conditioned(WORDS, torch.zeros(2, 0))


def test_a_draw_without_scores_calls_no_reward():
    draw = sampler(lambda objects: pytest.fail("scored")).draw(5, seed=0, is_scored=False)
    assert draw.log_reward.tolist() == [0] * 5
    assert len(draw.objects) == 5


def test_a_reward_of_states_names_objects_by_their_states():
    draw = sampler(StateReward(lambda states: states[:, -2].float())).draw(5, seed=0)
    assert draw.objects is None
    assert draw.keys == [tuple(row) for row in draw.trajectories.terminal.tolist()]
    assert draw.log_reward.tolist() == [len(o) for o in WORDS.decode(draw.trajectories.terminal)]


def test_parts_of_a_draw_are_the_whole():
    draw = sampler().draw(10, seed=0)
    parts = draw.split(3)
    assert [len(part.trajectories) for part in parts] == [4, 3, 3]
    joined = Draw.join(parts)
    assert sorted(joined.objects) == sorted(draw.objects)
    assert [o.count("A") for o in joined.objects] == joined.log_reward.tolist()
    assert draw.split(1) == [draw]
    assert len(draw.split(3, block=len(draw.trajectories))) == 1
    assert draw.n_bytes > 0
