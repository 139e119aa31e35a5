"""The interface of policies, tested with the smallest possible policy."""

import pytest
import torch

from al_loop.environments.sequence import Sequences
from al_loop.gflownet import Trainer, Training
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies.base import Policy

WORDS = Sequences("AC", 3, order="prepend_append")


class Minimal(Policy):
    """The two methods that the docstring of ``Policy`` requires."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Linear(WORDS.n_features, WORDS.n_actions)

    def forward_logits(self, states, context=None):
        return self.weights(WORDS.features(states))

    def backward_logits(self, states, context=None):
        return torch.zeros(len(states), WORDS.n_backward_actions)


class Shared(Minimal):
    shares_trunk = True


def count_a(objects):
    return torch.tensor([1.0 * o.count("A") for o in objects])


def test_a_minimal_policy_returns_all_logits_without_flows():
    policy, states = Minimal(), WORDS.initial(2)
    logits = policy.all_logits(states)
    assert torch.equal(logits.forward, policy.forward_logits(states))
    assert torch.equal(logits.backward, policy.backward_logits(states))
    assert logits.log_flow is None
    assert policy.log_flow(states) is None


@pytest.mark.parametrize("policy", [Minimal, Shared])
def test_a_minimal_policy_is_trained_and_draws(policy):
    torch.manual_seed(0)
    trainer = Trainer(WORDS, count_a, Training(batch_size=32, lr=0.03, replay_size=0), policy=policy())
    losses = [trainer.step() for _ in range(150)]
    assert losses[-1] < 0.1 * losses[0]
    assert object_distribution(WORDS, trainer.policy)["AAA"] > 0.3  # e^3 / (1 + e)^3 is 0.39


@pytest.mark.parametrize("policy", [Minimal, Shared])
def test_an_objective_of_flows_names_the_policy_that_has_none(policy):
    trainer = Trainer(WORDS, count_a, Training(batch_size=4, objective="detailed_balance"), policy=policy())
    with pytest.raises(ValueError, match=f"DetailedBalance requires flows .* {policy.__name__} does not model them"):
        trainer.step()


def test_a_policy_has_no_single_forward():
    with pytest.raises(TypeError, match="forward_logits or backward_logits"):
        Minimal()(WORDS.initial(1))
