"""Backward walks, and the numbers that objectives are made of."""

from collections import Counter

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet import rollout as rollout_module
from al_loop.gflownet import trajectory_terms as terms_module
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.rollout import Guide, Trajectories, backward_rollout, rollout
from al_loop.gflownet.trajectory_terms import log_probabilities
from al_loop.gflownet.unique_rows import row_keys, unique_rows

GRID = Hypergrid(3, 4)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("backward", ["learned", "uniform", "maximum_entropy"])
def test_histories_are_drawn_with_the_backward_probabilities(backward):
    torch.manual_seed(0)
    environment, policy = Hypergrid(2, 3), make_policy(Hypergrid(2, 3), 16, 1)
    torch.nn.init.normal_(policy.backward_head.weight)
    n = 20_000
    ends = environment.encode(["2,1"] * n)
    histories = backward_rollout(environment, policy, ends, generator=generator(), backward=backward)
    _, log_pb = log_probabilities(environment, policy, histories, backward=backward)
    kinds, place, counts = histories.actions.unique(dim=1, return_inverse=True, return_counts=True)
    assert kinds.shape[1] == 3  # the orders of two steps right and one up
    expected = torch.zeros(3).index_copy(0, place, log_pb.sum(0).exp().detach())
    assert expected.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(counts / n, expected, atol=0.012, rtol=0)
    if backward == "maximum_entropy":
        torch.testing.assert_close(expected, torch.full((3,), 1 / 3))


def test_histories_of_different_lengths_are_trajectories():
    environment = Sequences("ACGU", 5, 1)
    words = ["A", "ACGUA", "CC", "GUG"]
    history = backward_rollout(environment, None, environment.encode(words), generator=generator())
    assert environment.decode(history.terminal) == words
    assert (history.actions >= 0).sum(0).tolist() == [2, 5, 3, 4]
    for before, action, after in zip(history.states, history.actions, history.states[1:], strict=False):
        goes = action >= 0
        assert torch.equal(environment.step(before[goes], action[goes]), after[goes])


class Separate(MLPPolicy):
    """A policy whose halves are evaluated one by one."""

    shares_trunk = False


@pytest.mark.parametrize("environment", [GRID, Sets(6, 3), Sequences("AC", 4, 2)], ids=["grid", "set", "words"])
@pytest.mark.parametrize("is_packed", [True, False], ids=["cpu", "gpu"])
def test_one_pass_over_distinct_states_gives_what_each_state_gives(environment, is_packed, monkeypatch):
    torch.manual_seed(0)
    shared = MLPPolicy(environment, 16, 2)
    separate = Separate(environment, 16, 2)
    separate.load_state_dict(shared.state_dict())
    trajectories = rollout(environment, None, 40, generator=generator())
    plain = log_probabilities(environment, separate, trajectories)
    if not is_packed:  # what a GPU does, on the CPU
        monkeypatch.setattr(terms_module, "packs", lambda device: False)
    for a, b in zip(log_probabilities(environment, shared, trajectories), plain, strict=True):
        torch.testing.assert_close(a, b)
    (log_probabilities(environment, shared, trajectories)[0].sum()).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in shared.parameters())


@pytest.mark.parametrize("environment", [GRID, Sets(6, 3), Sequences("AC", 4, 2)], ids=["grid", "set", "words"])
def test_the_way_of_a_gpu_draws_the_same_distribution(environment, monkeypatch):
    torch.manual_seed(0)
    policy = MLPPolicy(environment, 16, 2)
    monkeypatch.setattr(rollout_module, "packs", lambda device: False)
    exact = object_distribution(environment, policy)
    n = 20_000
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


def test_distinct_rows_are_found():
    rows = torch.randint(0, 3, (500, 4), generator=generator())
    place, group = unique_rows(rows)
    assert torch.equal(rows[place][group], rows)
    assert len(place) == len(rows.unique(dim=0))
    assert len(row_keys(torch.arange(100_000)[:, None]).unique()) == 100_000
    grid = torch.cartesian_prod(*[torch.arange(-1, 15)] * 4)
    assert len(row_keys(grid).unique()) == 16**4
    swapped = row_keys(torch.tensor([[0, 1], [1, 0], [-1, 2]]))
    assert len(swapped.unique()) == 3


def test_padding_changes_nothing():
    policy = make_policy(GRID, 16, 1)
    trajectories = rollout(GRID, None, 8, generator=generator())
    states = torch.cat([trajectories.states, trajectories.terminal.expand(3, -1, -1)])
    actions = torch.nn.functional.pad(trajectories.actions, (0, 0, 0, 3), value=-1)
    padded = log_probabilities(GRID, policy, Trajectories(states, actions))
    for a, b in zip(padded, log_probabilities(GRID, policy, trajectories), strict=True):
        torch.testing.assert_close(a[:-3], b)
        assert (a[-3:] == 0).all()
