"""Estimates of likelihoods and of bounds on log Z against exact values."""

import math

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.gflownet.conditioned import Conditioned
from al_loop.gflownet.conditioning import Conditioning
from al_loop.gflownet.evaluation import correlation, evidence_bounds, log_likelihood
from al_loop.gflownet.exact_distribution import terminal_distribution
from al_loop.gflownet.policies.base import Context
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.reward import StateReward

SPACES = {"grid": Hypergrid(2, 4), "both ends": Sequences("AC", 4, 2, order="prepend_append")}


def policy_of(space):
    torch.manual_seed(5)
    return MLPPolicy(space, hidden=16).requires_grad_(False)


def reward_of(states):
    return 0.5 * states[:, 0] - 0.2 * states[:, 1]


@pytest.mark.parametrize("name", SPACES)
def test_likelihoods_agree_with_the_exact_distribution(name):
    space = SPACES[name]
    policy = policy_of(space)
    states, probabilities = terminal_distribution(space, policy)
    estimated = log_likelihood(space, policy, states, 2000, generator=torch.Generator().manual_seed(0))
    assert (estimated.exp() / probabilities - 1).abs().max() < 0.1
    assert float(estimated.exp().sum()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", SPACES)
def test_bounds_are_log_z_minus_and_plus_the_exact_divergences(name):
    space = SPACES[name]
    policy = policy_of(space)
    generator = torch.Generator().manual_seed(1)
    states, p = terminal_distribution(space, policy)
    reward = reward_of(states).double()
    target = reward.softmax(0)
    reference = states[torch.multinomial(target, 6000, replacement=True, generator=generator)]
    bounds = evidence_bounds(
        space, policy, StateReward(reward_of), 6000, generator=generator, reference=reference, backward="learned"
    )
    log_z = float(reward.logsumexp(0))
    # the divergences of whole trajectories are at least those of the objects
    assert bounds.elbo < log_z - float((p * (p / target).log()).sum()) + 4 * bounds.elbo_error
    assert bounds.eubo > log_z + float((target * (target / p).log()).sum()) - 4 * bounds.eubo_error
    assert 0 < bounds.effective_share < 1


def test_bounds_meet_at_log_z_for_a_perfect_sampler():
    space = Sequences("AC", 3)  # one history for each word, and a uniform policy is perfect for a constant reward
    uniform = MLPPolicy(space, hidden=4)
    for parameter in uniform.parameters():
        torch.nn.init.zeros_(parameter)
    states, _ = terminal_distribution(space, None)
    bounds = evidence_bounds(
        space,
        uniform,
        lambda objects: torch.full((len(objects),), 1.5),
        50,
        generator=torch.Generator().manual_seed(0),
        reference=states,
    )
    assert bounds.elbo == pytest.approx(1.5 + math.log(8), abs=1e-5)
    assert bounds.eubo == pytest.approx(1.5 + math.log(8), abs=1e-5)
    assert bounds.effective_share == pytest.approx(1)


def test_correlations_of_values_and_of_ranks():
    a = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert correlation(a, 2 * a + 5) == pytest.approx((1, 1))
    assert correlation(a, -a.exp())[1] == pytest.approx(-1)
    assert correlation(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 5.0]))[1] == pytest.approx(
        math.sqrt(0.75)
    )
    assert math.isnan(correlation(a, torch.zeros(4))[0])
    with pytest.raises(ValueError, match="at least 2"):
        correlation(a[:1], a[:1])


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [0.0, 1.0, -math.inf], [0.0, 1.0, math.nan]])
def test_a_correlation_is_nan_where_values_are_constant_or_not_finite(values):
    a, b = torch.tensor(values, dtype=torch.float64), torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64)
    assert all(math.isnan(value) for value in (*correlation(a, b), *correlation(b, a)))


def test_no_histories_are_refused():
    space = SPACES["grid"]
    with pytest.raises(ValueError, match="n_histories"):
        log_likelihood(space, policy_of(space), space.initial(1), 0, generator=torch.Generator())


def test_bounds_are_those_of_one_condition():
    space = Conditioned(Sequences("AC", 3), torch.tensor([[0.0], [1.0]]))
    uniform = MLPPolicy(space, hidden=4)
    for parameter in uniform.parameters():
        torch.nn.init.zeros_(parameter)
    reward = StateReward(lambda states: 2.0 * states[:, 0].float())
    start = space.start(torch.tensor([1]))
    states, _ = terminal_distribution(space, None, start)
    make = lambda: torch.Generator().manual_seed(0)  # noqa: E731
    bounds = evidence_bounds(space, uniform, reward, 20, generator=make(), start=start, reference=states)
    assert (bounds.elbo, bounds.eubo) == pytest.approx((2 + math.log(8), 2 + math.log(8)), abs=1e-5)
    with pytest.raises(ValueError, match="start: required, since the environment is conditioned"):
        evidence_bounds(space, uniform, reward, 20, generator=make())
    other = space.start(torch.tensor([0]))
    with pytest.raises(ValueError, match="reference: some of the objects have another condition than start"):
        evidence_bounds(space, uniform, reward, 20, generator=make(), start=other, reference=states)
    with pytest.raises(ValueError, match="start: superfluous"):
        evidence_bounds(Sequences("AC", 3), uniform, reward, 20, generator=make(), start=start)


def test_a_conditioned_policy_has_bounds_and_likelihoods():
    space, conditioning = Sequences("AC", 3), Conditioning(beta=(0.5, 2.0))
    uniform = MLPPolicy(space, hidden=4, n_conditions=1)
    for parameter in uniform.parameters():
        torch.nn.init.zeros_(parameter)
    states, _ = terminal_distribution(space, None)
    context = Context(conditioning.fixed(1, 1.0))
    bounds = evidence_bounds(
        space, uniform, StateReward(lambda s: torch.ones(len(s))), 20, generator=torch.Generator().manual_seed(0),
        reference=states, context=context,
    )  # fmt: skip
    assert bounds.eubo == pytest.approx(1 + math.log(8), abs=1e-5)
    own = Context(conditioning.fixed(len(states), 1.0))
    found = log_likelihood(space, uniform, states, 2, generator=torch.Generator().manual_seed(0), context=own)
    assert found.tolist() == pytest.approx([-math.log(8)] * 8, abs=1e-5)
