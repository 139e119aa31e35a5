"""Backward walks, and the terms that objectives are computed from."""

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet import trajectory_terms as terms_module
from al_loop.gflownet.backward_rollout import backward_rollout
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.policies.mlp import MLPPolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities

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


def test_padding_changes_nothing():
    policy = make_policy(GRID, 16, 1)
    trajectories = rollout(GRID, None, 8, generator=generator())
    states = torch.cat([trajectories.states, trajectories.terminal.expand(3, -1, -1)])
    actions = torch.nn.functional.pad(trajectories.actions, (0, 0, 0, 3), value=-1)
    padded = log_probabilities(GRID, policy, Trajectories(states, actions))
    for a, b in zip(padded, log_probabilities(GRID, policy, trajectories), strict=True):
        torch.testing.assert_close(a[:-3], b)
        assert (a[-3:] == 0).all()
