"""The objectives against an exact solution that is built by enumeration."""

import math

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet.exact import object_distribution
from al_loop.gflownet.objectives import trajectory_balance
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.rollout import log_probabilities, rollout


class Table(Policy):
    """Logits of every state of a two-dimensional grid: (height x height x 3) each."""

    def __init__(self, forward, backward):
        super().__init__()
        self.forward_table = torch.nn.Parameter(forward)
        self.backward_table = torch.nn.Parameter(backward)

    def forward_logits(self, states):
        return self.forward_table[states[:, 0], states[:, 1]]

    def backward_logits(self, states):
        return self.backward_table[states[:, 0], states[:, 1]]


HEIGHT = 5
REWARD = torch.rand(HEIGHT, HEIGHT, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


def solution():
    """P_F that samples in proportion to REWARD when P_B is uniform, from flows computed from the far corner back."""
    flow = torch.zeros(HEIGHT + 1, HEIGHT + 1, dtype=torch.float64)
    edges = torch.full((HEIGHT, HEIGHT, 3), 1e-300, dtype=torch.float64)
    for x in reversed(range(HEIGHT)):
        for y in reversed(range(HEIGHT)):
            edges[x, y, 2] = REWARD[x, y]
            for action, (a, b) in enumerate(((x + 1, y), (x, y + 1))):
                if max(a, b) < HEIGHT:  # a state's flow is shared by as many parents as it has positive coordinates
                    edges[x, y, action] = flow[a, b] / ((a > 0) + (b > 0))
            flow[x, y] = edges[x, y].sum()
    return Table(edges.log(), torch.zeros(HEIGHT, HEIGHT, 3, dtype=torch.float64)), flow[0, 0].log()


def losses(policy, log_z, reward=REWARD):
    environment = Hypergrid(2, HEIGHT)
    trajectories = rollout(environment, None, 200, generator=torch.Generator().manual_seed(1))
    log_pf, log_pb = log_probabilities(environment, policy, trajectories)
    x, y, _ = trajectories.terminal.T
    return trajectory_balance(log_z, log_pf, log_pb, reward[x, y].log())


def test_flow_of_the_initial_state_is_the_sum_of_rewards():
    assert solution()[1].item() == pytest.approx(math.log(REWARD.sum()))


def test_the_exact_solution_samples_in_proportion_to_the_reward():
    policy, log_z = solution()
    for point, probability in object_distribution(Hypergrid(2, HEIGHT), policy).items():
        x, y = map(int, point.split(","))
        assert probability == pytest.approx(float(REWARD[x, y] / log_z.exp()), rel=1e-9)


def test_trajectory_balance_is_zero_at_the_exact_solution():
    # log_probabilities adds up in single precision
    assert losses(*solution()).max() < 1e-9


def test_trajectory_balance_is_far_from_zero_elsewhere():
    policy, log_z = solution()
    assert losses(policy, log_z + 1).min().item() == pytest.approx(1, abs=1e-3)
    assert losses(policy, log_z, REWARD.flip(0)).mean() > 0.1
    wrong = Table(policy.forward_table.detach(), policy.backward_table.detach() + torch.tensor([1.0, 0.0, 0.0]))
    assert losses(wrong, log_z).mean() > 0.1
    uniform = Table(torch.zeros_like(policy.forward_table), policy.backward_table.detach())
    assert losses(uniform, log_z).mean() > 0.1


def test_gradients_are_finite_and_vanish_at_the_exact_solution():
    policy, log_z = solution()
    log_z = log_z.requires_grad_()
    losses(policy, log_z).mean().backward()
    for gradient in (log_z.grad, policy.forward_table.grad, policy.backward_table.grad):
        assert gradient.abs().max() < 1e-5
    uniform = Table(torch.zeros(HEIGHT, HEIGHT, 3), torch.zeros(HEIGHT, HEIGHT, 3))
    losses(uniform, log_z).mean().backward()
    assert torch.isfinite(uniform.forward_table.grad).all()
    assert uniform.forward_table.grad.abs().max() > 1e-3
