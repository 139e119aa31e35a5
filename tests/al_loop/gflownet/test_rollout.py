"""Roll-outs: their frequencies against exact probabilities, and invalid arguments."""

from collections import Counter

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.fixed_shapes import fixed_shapes
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.rollout import Guide, rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities

GRID = Hypergrid(3, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class DeadEnd(Hypergrid):
    """Its masks forbid everything."""

    def forward_mask(self, states):
        return torch.zeros_like(super().forward_mask(states))


class Endless(Hypergrid):
    """It says that it takes fewer steps than it does."""

    def __init__(self):
        super().__init__(2, 8)
        self.max_steps = 3

    def forward_mask(self, states):
        mask = super().forward_mask(states)
        mask[:, -1] &= (states[:, 0] == 7) & (states[:, 1] == 7)
        return mask


@pytest.mark.parametrize("n", [0, -1])
def test_no_trajectories_are_refused(n):
    with pytest.raises(ValueError, match="n must be at least 1"):
        rollout(Hypergrid(), None, n, generator=generator())


def test_masks_that_forbid_everything_are_refused():
    with pytest.raises(ValueError, match="allows no action"):
        rollout(DeadEnd(), None, 4, generator=generator())
    with pytest.raises(ValueError, match="allows no action"):
        rollout(DeadEnd(), make_policy(DeadEnd(), 8, 1), 4, generator=generator(), epsilon=0.1)


def test_a_wrong_max_steps_is_refused():
    with pytest.raises(ValueError, match="max_steps"):
        rollout(Endless(), None, 4, generator=generator())


def test_logits_that_are_not_finite_are_refused():
    policy = make_policy(Hypergrid(), 8, 1)
    torch.nn.init.constant_(policy.forward_head.linear.bias, torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        rollout(Hypergrid(), policy, 4, generator=generator())


@pytest.mark.parametrize("environment", [Hypergrid(2, 3), Sequences("AC", 3, 1)], ids=["hypergrid", "sequence"])
@pytest.mark.parametrize("is_uniform", [True, False])
def test_sampled_frequencies_are_the_exact_probabilities(environment, is_uniform):
    torch.manual_seed(1)
    policy = None if is_uniform else make_policy(environment, 16, 2)
    exact = object_distribution(environment, policy)
    n = 20_000
    drawn = environment.decode(rollout(environment, policy, n, generator=generator()).terminal)
    chi_square = sum((drawn.count(o) - n * p) ** 2 / (n * p) for o, p in exact.items())
    freedom = len(exact) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def test_epsilon_is_the_share_of_uniform_actions():
    environment = Sequences("AC", 1)
    policy = make_policy(environment, 8, 1)
    torch.nn.init.zeros_(policy.forward_head.linear.weight)
    policy.forward_head.linear.bias.data = torch.tensor([30.0, 0.0, 0.0])  # always A
    drawn = environment.decode(rollout(environment, policy, 10_000, generator=generator(), epsilon=0.2).terminal)
    assert drawn.count("C") / 10_000 == pytest.approx(0.1, abs=0.012)


def test_the_same_seed_draws_the_same():
    environment = Sequences("ACGU", 6, 2)
    policy = make_policy(environment, 8, 1)
    a, b, c = (rollout(environment, policy, 16, generator=generator(s), epsilon=0.1) for s in (1, 1, 2))
    assert torch.equal(a.states, b.states)
    assert torch.equal(a.actions, b.actions)
    assert not torch.equal(a.terminal, c.terminal)


def test_trajectories_are_steps_of_the_environment():
    environment = Sequences("ACGU", 6, 2)
    trajectories = rollout(environment, None, 32, generator=generator())
    for before, action, after in zip(trajectories.states, trajectories.actions, trajectories.states[1:], strict=False):
        alive = action >= 0
        assert torch.equal(environment.step(before[alive], action[alive]), after[alive])
        assert torch.equal(before[~alive], after[~alive])
    assert (trajectories.actions[-1] >= 0).any()
    assert len({int((a >= 0).sum()) for a in trajectories.actions.T}) > 1


def test_joined_trajectories_have_the_probabilities_that_they_had_alone():
    environment = Sequences("ACGU", 6, 2)
    policy = make_policy(environment, 8, 2)
    long = rollout(environment, None, 8, generator=generator())
    lengths = (long.actions >= 0).sum(0)
    short = long.pick(lengths.argsort()[:2])
    trimmed = int((short.actions >= 0).any(1).sum())
    short = Trajectories(short.states[: trimmed + 1], short.actions[:trimmed])
    joined = Trajectories.join([short, long])
    assert len(joined) == 10
    for whole, first, second in zip(
        log_probabilities(environment, policy, joined),
        log_probabilities(environment, policy, short),
        log_probabilities(environment, policy, long),
        strict=True,
    ):
        torch.testing.assert_close(whole.sum(0), torch.cat([first.sum(0), second.sum(0)]))


def test_log_probabilities_are_products_over_the_steps():
    environment = Hypergrid(2, 3)
    policy = make_policy(environment, 8, 1)
    for parameter in policy.parameters():
        torch.nn.init.zeros_(parameter)  # uniform over what is allowed
    states = torch.tensor([[[0, 0, 0]], [[1, 0, 0]], [[2, 0, 0]], [[2, 1, 0]], [[2, 1, 1]]])
    trajectory = Trajectories(states, torch.tensor([[0], [0], [1], [2]]))
    log_pf, log_pb = log_probabilities(environment, policy, trajectory)
    assert log_pf.sum(0).exp().item() == pytest.approx(1 / 3 * 1 / 3 * 1 / 2 * 1 / 2)
    assert log_pb.sum(0).exp().item() == pytest.approx(1 * 1 * 1 / 2 * 1)


def test_histories_of_different_lengths_are_trajectories():
    environment = Sequences("ACGU", 5, 1)
    words = ["A", "ACGUA", "CC", "GUG"]
    history = backward_rollout(environment, None, environment.encode(words), generator=generator())
    assert environment.decode(history.terminal) == words
    assert (history.actions >= 0).sum(0).tolist() == [2, 5, 3, 4]
    for before, action, after in zip(history.states, history.actions, history.states[1:], strict=False):
        goes = action >= 0
        assert torch.equal(environment.step(before[goes], action[goes]), after[goes])


@pytest.mark.parametrize("environment", [GRID, Sets(6, 3), Sequences("AC", 4, 2)], ids=["grid", "set", "words"])
def test_the_way_of_a_gpu_draws_the_same_distribution(environment):
    torch.manual_seed(0)
    policy = MLPPolicy(environment, 16, 2)
    exact = object_distribution(environment, policy)
    n = 20_000
    with fixed_shapes():
        drawn = Counter(environment.decode(rollout(environment, policy, n, generator=generator()).terminal))
    chi_square = sum((drawn[o] - n * p) ** 2 / (n * p) for o, p in exact.items())
    freedom = len(exact) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5
    ends = environment.encode([*drawn][:50])
    history = backward_rollout(environment, policy, ends, generator=generator())
    assert torch.equal(history.terminal, ends)


def test_guides_are_followed_where_they_are_allowed():
    environment = Sequences("ACGU", 4)
    policy = make_policy(environment, 8, 1)
    guide = torch.tensor([[0, 1, 2], [3, -1, 0], [1, 2, -1], [2, 2, 4]])  # the stop (4) is not allowed
    words = environment.decode(rollout(environment, policy, 3, generator=generator(), guide=Guide(guide)).terminal)
    assert words[0] == "AUCG"
    assert words[1][0] == "C"
    assert words[1][2:] == "GG"
    assert words[2].startswith("GA")


def test_deviation_is_the_share_of_steps_left_to_the_policy():
    environment = Sequences("ACGU", 10)
    n = 2000
    guide = Guide(torch.zeros(10, n, dtype=torch.int64), torch.tensor([0.0, 0.5]).repeat(n // 2))
    words = environment.decode(rollout(environment, None, n, generator=generator(), guide=guide).terminal)
    assert set(words[::2]) == {"A" * 10}
    others = sum(10 - word.count("A") for word in words[1::2]) / (10 * n / 2)
    assert others == pytest.approx(0.5 * 0.75, abs=0.02)


def test_temperature_flattens_the_policy():
    environment = Sequences("AC", 1)
    policy = make_policy(environment, 8, 1)
    torch.nn.init.zeros_(policy.forward_head.linear.weight)
    policy.forward_head.linear.bias.data = torch.tensor([2.0, 0.0, 0.0])

    def share(temperature):
        drawn = rollout(environment, policy, 10_000, generator=generator(), temperature=temperature)
        return environment.decode(drawn.terminal).count("A") / 10_000

    assert share(1.0) == pytest.approx(0.881, abs=0.015)
    assert share(4.0) == pytest.approx(0.622, abs=0.02)
