"""Policies that contradict the environment or the settings of a training."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.policies.masked_autoregressive import MaskedAutoregressivePolicy
from al_loop.gflownet.settings import TrainingSettings

GRID = Hypergrid(2, 4)
BETA = {"conditioning": Conditioning(beta=(0.5, 2.0))}


class Thresholds(Policy):
    """A policy that reads only whether the temperature is high, which has no gradient."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.randn(2, GRID.n_actions))

    def forward_logits(self, states, context=None):
        return self.weights[(context.values[:, 0] > 0).long()]

    def backward_logits(self, states, context=None):
        return torch.zeros(len(states), GRID.n_backward_actions)


def made(environment=GRID, n_conditions=0, heads=1):
    torch.manual_seed(0)
    return make_policy(environment, 8, 1, n_conditions, heads)


def without_weights_of_conditions(policy):
    """Set the first layer to 0, as if the policy came from a prior that was trained without conditions."""
    torch.nn.init.zeros_(policy.trunk[0].weight)
    return policy


def of_words(length):
    return MaskedAutoregressivePolicy(Assignments("ab", length, "left_to_right"), 8, 1)


@pytest.mark.parametrize(
    ("policy", "settings", "reason"),
    [
        (lambda: made(), BETA, "does not use the 1 condition of the reward; make it with n_conditions=1"),
        (lambda: made(n_conditions=3), BETA, "cannot read 1 condition "),
        (lambda: made(heads=2), {}, "has 2 heads, and the setting heads is 1"),
        (lambda: made(), {"heads": 3}, "has 1 head, and the setting heads is 3"),
        (
            lambda: made(Hypergrid(2, 7)),
            {},
            "made for another environment, hypergrid, with n_features 14 in place of 8",
        ),
        (lambda: of_words(5), {}, "made for another environment, assignment, with state_size 5"),
    ],
)
def test_a_policy_that_contradicts_the_settings_is_refused(policy, settings, reason):
    with pytest.raises(ValueError, match=f"^policy: .*{reason}"):
        Learner(GRID, TrainingSettings(hidden=8, **settings), 0, policy())


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        (lambda: made(n_conditions=1), BETA),
        (lambda: made(n_conditions=1, heads=2), {"heads": 2, **BETA}),
        (lambda: without_weights_of_conditions(made(n_conditions=1)), BETA),
        (Thresholds, BETA),
        (lambda: made(Hypergrid(2, 4)), {}),
    ],
)
def test_a_policy_that_suits_them_is_accepted_unchanged(policy, settings):
    own = policy()
    before = {name: weight.clone() for name, weight in own.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    Learner(GRID, TrainingSettings(hidden=8, **settings), 0, own)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(weight, before[name]) for name, weight in own.state_dict().items())
