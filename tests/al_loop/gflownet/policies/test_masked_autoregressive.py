"""The masked autoregressive network: what each place sees, three ways to the same logits, and what it draws."""

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.gflownet import Training, train
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.masked_autoregressive import MaskedAutoregressivePolicy
from al_loop.gflownet.rollout import rollout
from tests.support.policies import assert_a_whole_pass_agrees

BITS = Assignments("01", 6, order="left_to_right")
SPACES = [
    BITS,
    Assignments(["Cu", "Au", "Pd"], 5, order="left_to_right"),
    Assignments("ACGU", 1, order="left_to_right"),
]
NETWORKS = [{}, {"layers": 0}, {"layers": 1, "n_conditions": 2}, {"hidden": 3, "layers": 3}]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(environment, **settings):
    torch.manual_seed(0)
    return MaskedAutoregressivePolicy(environment, **{"hidden": 24, **settings})


def context(n, n_conditions=0, **_):
    return Context(torch.rand((n, n_conditions), generator=generator(1)) if n_conditions else None)


@pytest.mark.parametrize("environment", SPACES, ids=["bits", "metals", "one place"])
@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_a_whole_pass_gives_the_logits_of_every_prefix(environment, settings):
    policy, told = make(environment, **settings), context(32, **settings)
    states = rollout(environment, None, 32, generator=generator()).states
    for whole in (states, states[1:], states[:-1]):  # also histories that begin or end in between
        assert_a_whole_pass_agrees(policy, whole, told)
    for here in states[:-1]:
        next_logits = policy.next_logits(here, told, policy.start(32, torch.device("cpu")), None)
        torch.testing.assert_close(next_logits, policy.forward_logits(here, told))


def test_a_letter_changes_all_that_follows_and_nothing_before_it():
    policy = make(BITS)
    states = rollout(BITS, None, 8, generator=generator()).states
    changed = states.clone()
    changed[-1][:, 3] = 1 - changed[-1][:, 3]
    before, after = policy.along(states), policy.along(changed)
    for name in ("forward", "log_flow"):
        a, b = getattr(before, name), getattr(after, name)
        torch.testing.assert_close(a[:4], b[:4], rtol=0, atol=0)
        assert ((a[4:] - b[4:]).abs().flatten(2 if name == "forward" else 1) > 1e-5).any(-1).all()


def test_conditions_reach_the_first_place():
    policy = make(BITS, n_conditions=2)
    first = BITS.initial(2)
    a, b = policy.forward_logits(first, Context(torch.tensor([[0.0, 1.0], [1.0, 0.0]])))
    assert (a - b).abs().max() > 1e-3
    with pytest.raises(ValueError, match="requires a context with values"):
        policy.forward_logits(first)


def test_other_spaces_and_ensembles_are_refused():
    with pytest.raises(ValueError, match="requires words of a fixed length written from left to right"):
        MaskedAutoregressivePolicy(Assignments("01", 4))
    with pytest.raises(ValueError, match="set heads to 1, not 2"):
        MaskedAutoregressivePolicy(BITS, heads=2)


def ones(objects):
    return torch.tensor([0.8 * o.count("1") - 1.5 * o.count("11") for o in objects])


@pytest.mark.parametrize(("objective", "steps"), [("trajectory_balance", 300), ("sub_trajectory_balance", 600)])
def test_words_are_sampled_in_proportion_to_the_reward(objective, steps):
    training = Training(steps=steps, batch_size=64, lr=5e-3, epsilon=0.1, objective=objective)
    policy = make(BITS, hidden=32)
    learner, _ = train(BITS, ones, training, policy=policy)
    assert learner.policy is policy
    p = object_distribution(BITS, policy)
    reward = ones(list(p)).double().exp()
    assert (torch.tensor(list(p.values())) - reward / reward.sum()).abs().sum() < 0.05
