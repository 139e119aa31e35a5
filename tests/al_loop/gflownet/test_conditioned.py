"""Conditions in the start state: p(x | c) in proportion to R(x, c), exactly, for every condition."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.sequence import Sequences
from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet import StateReward, TrainingSettings, train
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.searches.local_search import LocalSearch

pytestmark = pytest.mark.slow

CONDITIONS = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]])


def environment():
    return Conditioned(Assignments("01", 3), CONDITIONS)


def log_reward(states):
    """Return log-rewards whose total differs between the conditions by e^200."""
    bits, condition = states[:, 1:].float(), states[:, 0]
    weight = torch.tensor([1.0, -2.0, 0.5])[condition]
    return weight * bits.sum(1) + bits[:, 0] * bits[:, 1] - 100.0 * condition


class TestConditioned(EnvironmentContract):
    invalid = ("01", "012")
    is_small = True

    def make(self):
        return environment()


def exact(space):
    """Return the terminal states of all conditions, their probabilities R / Z, and log Z of each condition."""
    start = space.start(torch.arange(len(CONDITIONS)))
    states, _ = terminal_distribution(space, None, start)
    reward = log_reward(states).double()
    log_z = torch.stack([reward[states[:, 0] == c].logsumexp(0) for c in range(len(CONDITIONS))])
    return start, states, (reward - log_z[states[:, 0]]).exp(), log_z


def test_distributions_given_each_start_add_up_to_1():
    space = environment()
    start, states, _, _ = exact(space)
    states, probabilities = terminal_distribution(space, None, start)
    total = torch.zeros(3, dtype=torch.float64).index_add(0, states[:, 0], probabilities)
    assert total.tolist() == pytest.approx([1, 1, 1])
    assert len(states) == 24


@pytest.mark.parametrize(
    ("objective", "settings"),
    [
        ("trajectory_balance", {}),
        ("sub_trajectory_balance", {}),
        ("log_partition_variance", {"per_condition": 16}),
        ("detailed_balance", {}),
        ("flow_matching", {}),
    ],
)
def test_each_condition_is_sampled_in_proportion_to_its_own_reward(objective, settings):
    space = environment()
    training = TrainingSettings(
        steps=500, batch_size=48, hidden=48, lr=3e-3, objective=objective, epsilon=0.1, replay_size=12, **settings
    )
    # flows from -200 to 0 take long to learn; the same rewards, closer together, show as much
    scale = 1.0 if objective == "log_partition_variance" else 0.02
    learner, sampler = train(space, StateReward(lambda s: log_reward(s) + (100 - 100 * scale) * s[:, 0]), training)
    start, _, _, _ = exact(space)
    states, probabilities = terminal_distribution(space, learner.policy, start)
    _, expected_states, expected, log_z = exact(space)
    order, expected_order = ([tuple(row) for row in s.tolist()] for s in (states, expected_states))
    truth = dict(zip(expected_order, expected.tolist(), strict=True))
    error = sum(abs(p - truth[s]) for s, p in zip(order, probabilities.tolist(), strict=True))
    assert error / 3 < 0.08
    if objective != "log_partition_variance":
        shift = (100 - 100 * scale) * torch.arange(3)
        assert (learner.log_z_of(start) - log_z - shift).abs().max() < 0.25
    drawn = sampler.draw(40, seed=1, start=start[1:2].expand(40, -1))
    assert (drawn.trajectories.states[..., 0] == 1).all()


def test_trajectories_keep_their_condition():
    space = Conditioned(Sequences("ACGU", 4, 2), CONDITIONS)
    generator = torch.Generator().manual_seed(0)
    start = space.sample_starts(10, 2, generator)
    assert start[::2, 0].equal(start[1::2, 0])
    forward = rollout(space, None, 10, generator=generator, start=start)
    assert (forward.states[..., 0] == start[:, 0]).all()
    back = backward_rollout(space, None, forward.terminal, generator=generator)
    assert back.states[0].equal(start)
    assert back.terminal.equal(forward.terminal)


def test_searches_keep_the_condition_of_their_parents():
    settings = TrainingSettings(steps=3, batch_size=6, searches=(LocalSearch(size=8),), replay_size=4)
    learner, _ = train(environment(), StateReward(log_reward), settings)
    assert len(learner.replay)


@pytest.mark.parametrize(
    ("conditions", "words"),
    [(torch.zeros(3), "n_conditions x k"), (torch.zeros(0, 2), "n_conditions"), (torch.tensor([[1e39]]), "finite")],
)
def test_invalid_conditions_are_refused(conditions, words):
    with pytest.raises(ValueError, match=words):
        Conditioned(Assignments("01", 3), conditions)


def test_a_reward_of_objects_is_refused():
    learner = Learner(environment(), TrainingSettings(), 0)
    with pytest.raises(ValueError, match="StateReward"):
        learner.start(lambda objects: torch.zeros(len(objects)))


def test_start_states_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="start: expected"):
        rollout(environment(), None, 2, generator=torch.Generator(), start=torch.zeros(3, 4, dtype=torch.int64))
