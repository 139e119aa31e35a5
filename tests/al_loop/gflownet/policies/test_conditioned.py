"""Policies of other environments under conditions in the state."""

import pytest
import torch

from al_loop.environments.fragments import Fragments
from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Conditioning, StateReward, Trainer, TrainingSettings
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies._conditioned import ConditionedPolicy
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.transformer import TransformerPolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectory_terms import log_probabilities

CONDITIONS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


class Written(Sequences):
    """Words whose default policy reads them from left to right."""

    default_policy = "transformer"


def log_reward(states):
    n_first = (states[:, 1:4] == 0).sum(1).float()
    return torch.where(states[:, 0] == 0, 1.0, -1.5) * n_first


def test_a_transformer_samples_each_condition_in_proportion_to_its_own_reward():
    space = Conditioned(Written("AC", 3, 3), CONDITIONS)
    training = TrainingSettings(steps=100, batch_size=32, hidden=16, layers=1, lr=1e-2, replay_size=0)
    trainer = Trainer(space, StateReward(log_reward), training)
    assert isinstance(trainer.policy, ConditionedPolicy)
    assert isinstance(trainer.policy.policy, TransformerPolicy)
    for _ in range(training.steps):
        trainer.step()
    start = space.start(torch.arange(2))
    states, p = terminal_distribution(space, trainer.policy, start)
    reward = log_reward(states).double().exp()
    total = torch.zeros(2, dtype=torch.float64).index_add(0, states[:, 0], reward)
    assert (p - reward / total[states[:, 0]]).abs().sum() / 2 < 0.05


@pytest.mark.parametrize("conditioning", [Conditioning(), Conditioning(beta=(0.5, 2.0))])
def test_steps_of_a_rollout_have_the_probabilities_of_the_whole(conditioning):
    torch.manual_seed(0)
    space = Conditioned(Written("ACGU", 4, 2), CONDITIONS)
    policy = make_policy(space, 16, 1, conditioning.n_values)
    start = space.start(torch.tensor([0, 1, 1, 0]))
    values = conditioning.sample(4, torch.Generator().manual_seed(1))
    context = Context(values) if conditioning.n_values else None
    drawn = rollout(space, policy, 4, generator=torch.Generator().manual_seed(0), context=context, start=start)
    log_pf, _ = log_probabilities(space, policy, drawn, context=context)
    for t in range(len(drawn.actions)):
        goes = drawn.actions[t] >= 0
        rows = goes.nonzero()[:, 0]
        states = drawn.states[t][goes]
        inside = None if context is None else context.rows(rows)
        expected = policy.forward_log_prob(states, space.forward_mask(states), drawn.actions[t][goes], inside)
        torch.testing.assert_close(log_pf[t][goes], expected, atol=1e-5, rtol=1e-5)


def test_molecules_are_conditioned_by_their_own_policy():
    space = Conditioned(Fragments(max_fragments=3), CONDITIONS)
    trainer = Trainer(
        space,
        StateReward(lambda states: states[:, 0].float()),
        TrainingSettings(batch_size=8, hidden=16, layers=1, replay_size=4),
    )
    assert isinstance(trainer.policy, ConditionedPolicy)
    for _ in range(2):
        assert trainer.step() >= 0
