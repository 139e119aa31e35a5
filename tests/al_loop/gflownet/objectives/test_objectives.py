"""Every objective against an exact solution that is built by enumeration, and trained towards it."""

import math
from dataclasses import replace

import pytest
import torch

from al_loop.environments.hypergrid import Hypergrid
from al_loop.gflownet import Training
from al_loop.gflownet.exact_distribution import object_distribution
from al_loop.gflownet.losses import LOSSES
from al_loop.gflownet.objectives import make_objective
from al_loop.gflownet.objectives.sub_trajectory_balance import SubTrajectoryBalance
from al_loop.gflownet.objectives.trajectory_balance import TrajectoryBalance
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.reward import StateReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trainer import train
from al_loop.gflownet.trajectory_terms import compute_terms


class Table(Policy):
    """Logits of every state of a two-dimensional grid (height x height x 3 each), and flows (height x height)."""

    def __init__(self, forward, backward, flow):
        super().__init__()
        self.forward_table = torch.nn.Parameter(forward)
        self.backward_table = torch.nn.Parameter(backward)
        self.flow_table = torch.nn.Parameter(flow)

    def forward_logits(self, states, context=None):
        return self.forward_table[states[:, 0], states[:, 1]]

    def backward_logits(self, states, context=None):
        return self.backward_table[states[:, 0], states[:, 1]]

    def log_flow(self, states, context=None):
        return self.flow_table[states[:, 0], states[:, 1]]


HEIGHT = 5


GRID = Hypergrid(2, HEIGHT)


REWARD = torch.rand(HEIGHT, HEIGHT, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1


BALANCES = [
    "trajectory_balance",
    "log_partition_variance",
    "detailed_balance",
    "sub_trajectory_balance",
    "modified_sub_trajectory_balance",
]


ALL = [*BALANCES, "flow_matching"]


GRADIENTS = ["vanilla_policy_gradient", "entropic_ppo"]


def paths(x, y):
    return math.comb(x + y, x)


def share(backward, parent, x, y):
    """P_B of one parent of (x, y)."""
    if backward == "uniform":
        return 1 / ((x > 0) + (y > 0))
    if backward == "maximum_entropy":
        return paths(*parent) / paths(x, y)
    weight = {(x - 1, y): 3.0, (x, y - 1): 1.0}  # "learned": a network that prefers the first coordinate
    return weight[parent] / sum(w for (a, b), w in weight.items() if a >= 0 and b >= 0)


def solution(backward="learned"):
    """P_F, P_B and flows that sample in proportion to REWARD, from the far corner back."""
    flow = torch.zeros(HEIGHT, HEIGHT, dtype=torch.float64)
    edges = torch.full((HEIGHT, HEIGHT, 3), 1e-300, dtype=torch.float64)
    for x in reversed(range(HEIGHT)):
        for y in reversed(range(HEIGHT)):
            edges[x, y, 2] = REWARD[x, y]
            for action, (a, b) in enumerate(((x + 1, y), (x, y + 1))):
                if max(a, b) < HEIGHT:
                    edges[x, y, action] = flow[a, b] * share(backward, (x, y), a, b)
            flow[x, y] = edges[x, y].sum()
    back = torch.tensor([3.0, 1.0, 1.0], dtype=torch.float64).log().expand(HEIGHT, HEIGHT, 3).clone()
    return Table(edges.log(), back, flow.log())


def log_reward_of(states, reward=REWARD):
    return reward[states[:, 0], states[:, 1]].log()


def losses(policy, objective, backward="learned", reward=REWARD, log_z=None, partial=None):
    trajectories = rollout(GRID, None, 200, generator=torch.Generator().manual_seed(1))
    terms = compute_terms(
        GRID,
        policy,
        trajectories,
        make_objective(objective) if isinstance(objective, str) else objective,
        log_z=REWARD.sum().log() if log_z is None else log_z,
        log_reward=log_reward_of(trajectories.terminal, reward),
        backward=backward,
        partial_log_reward=partial,
        stopped_log_reward=lambda states, rows: log_reward_of(states, reward),
    )
    chosen = make_objective(objective) if isinstance(objective, str) else objective
    if chosen.uses_drawing_policy:
        terms = replace(terms, drawn=terms.detached(), divergence=torch.zeros_like(terms.log_pf))
    return chosen(terms)


def test_flow_of_the_initial_state_is_the_sum_of_rewards():
    assert solution().flow_table[0, 0].item() == pytest.approx(math.log(REWARD.sum()))


def test_the_exact_solution_samples_in_proportion_to_the_reward():
    for point, probability in object_distribution(GRID, solution()).items():
        x, y = map(int, point.split(","))
        assert probability == pytest.approx(float(REWARD[x, y] / REWARD.sum()), rel=1e-9)


@pytest.mark.parametrize("objective", [*ALL, *GRADIENTS])
@pytest.mark.parametrize("backward", ["learned", "uniform", "maximum_entropy"])
def test_every_objective_is_zero_at_the_exact_solution(objective, backward):
    assert losses(solution(backward), objective, backward).max() < 1e-9


@pytest.mark.parametrize("objective", ALL)
def test_every_objective_is_far_from_zero_for_another_reward_and_another_policy(objective):
    assert losses(solution(), objective, reward=REWARD.flip(0)).mean() > 0.05
    exact = solution()
    uniform = Table(torch.zeros_like(exact.forward_table), exact.backward_table.detach(), exact.flow_table.detach())
    assert losses(uniform, objective).mean() > 0.05


@pytest.mark.parametrize("objective", BALANCES)
def test_every_balance_is_far_from_zero_for_another_backward_policy(objective):
    exact = solution()
    turned = exact.backward_table.detach() + torch.tensor([1.5, 0.0, 0.0])
    wrong = Table(exact.forward_table.detach(), turned, exact.flow_table.detach())
    assert losses(wrong, objective).mean() > 0.05
    assert losses(exact, objective, "maximum_entropy").mean() > 0.05


@pytest.mark.parametrize("objective", ["trajectory_balance", "sub_trajectory_balance", "detailed_balance"])
def test_a_wrong_total_flow_is_seen(objective):
    assert losses(solution(), objective, log_z=REWARD.sum().log() + 1).min() > 0.02


def test_log_partition_variance_needs_no_total_flow():
    assert losses(solution(), "log_partition_variance", log_z=torch.tensor(100.0)).max() < 1e-9


@pytest.mark.parametrize("objective", ["detailed_balance", "sub_trajectory_balance"])
def test_wrong_flows_of_partial_objects_are_seen(objective):
    exact = solution()
    flow = exact.flow_table.detach() + torch.randn(HEIGHT, HEIGHT, generator=torch.Generator().manual_seed(0))
    wrong = Table(exact.forward_table.detach(), exact.backward_table.detach(), flow)
    assert losses(wrong, objective).mean() > 0.1


@pytest.mark.parametrize("objective", ["detailed_balance", "sub_trajectory_balance"])
def test_forward_looking_flows_come_on_top_of_the_partial_reward(objective):
    exact = solution()
    on_top = Table(
        exact.forward_table.detach(), exact.backward_table.detach(), exact.flow_table.detach() - REWARD.log()
    )
    assert losses(on_top, objective, partial=lambda states, rows: log_reward_of(states)).max() < 1e-9
    assert losses(exact, objective, partial=lambda states, rows: log_reward_of(states)).mean() > 0.05


def test_sub_trajectories_weighted_to_the_longest_are_trajectory_balance():
    exact = solution()
    policy = Table(
        torch.zeros_like(exact.forward_table), exact.backward_table.detach(), torch.zeros_like(exact.flow_table)
    )
    whole = losses(policy, TrajectoryBalance())
    torch.testing.assert_close(losses(policy, SubTrajectoryBalance(weight=1e6)), whole, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_every_regression_loss_is_zero_at_the_exact_solution_and_not_elsewhere(name):
    assert losses(solution(), TrajectoryBalance(name)).max() < 1e-9
    assert losses(solution(), TrajectoryBalance(name), log_z=REWARD.sum().log() + 1).min() > 0.3


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'trajectory' is not one of .*trajectory_balance"):
        make_objective("trajectory")
    with pytest.raises(ValueError, match=r"'cubic' is not one of squared, huber, cosh, linex"):
        TrajectoryBalance("cubic")


@pytest.mark.parametrize("weight", [0, -1, math.inf, math.nan, "1"])
def test_a_weight_of_sub_trajectories_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match=r"^weight: must be a number above 0 and finite"):
        SubTrajectoryBalance(weight)


@pytest.mark.parametrize("objective", ALL)
def test_gradients_are_finite_and_vanish_at_the_exact_solution(objective):
    exact = solution()
    losses(exact, objective).mean().backward()
    for table in (exact.forward_table, exact.backward_table, exact.flow_table):
        assert table.grad is None or table.grad.abs().max() < 1e-5
    uniform = Table(*(torch.zeros(HEIGHT, HEIGHT, 3) for _ in range(2)), torch.zeros(HEIGHT, HEIGHT))
    losses(uniform, objective).mean().backward()
    assert torch.isfinite(uniform.forward_table.grad).all()
    assert uniform.forward_table.grad.abs().max() > 1e-3


def distance(policy):
    p = object_distribution(GRID, policy)
    target = torch.stack([REWARD[tuple(map(int, point.split(",")))] for point in p])
    return float((torch.tensor(list(p.values())) - target / target.sum()).abs().sum())


TRAINED = {
    "objective": ALL,
    "backward": ["uniform", "maximum_entropy"],
    "backward_loss": ["likelihood"],
    "forward_looking": ["detailed_balance", "sub_trajectory_balance"],
    "loss": ["huber", "cosh", "linex"],
}


@pytest.mark.parametrize(("what", "value"), [(what, value) for what, values in TRAINED.items() for value in values])
def test_training_converges_to_the_exact_solution(what, value):
    settings = {"steps": 250, "batch_size": 32, "hidden": 64, "lr": 3e-3, "replay_size": 0, "epsilon": 0.1}
    if what == "loss":
        settings["objective"] = TrajectoryBalance(value)
    elif what == "forward_looking":
        settings |= {"objective": value, "forward_looking": True}
    else:
        settings[what] = value
    learner, _ = train(GRID, StateReward(log_reward_of, is_partial=True), Training(**settings))
    assert distance(learner.policy) < 0.08
    assert float(learner.log_z) == pytest.approx(math.log(REWARD.sum()), abs=0.05)


def test_the_bound_tells_an_untrained_policy_and_a_wrong_reward():
    settings = Training(steps=250, batch_size=32, hidden=64, lr=3e-3, replay_size=0, epsilon=0.1)
    learner, _ = train(GRID, StateReward(lambda states: 2 * log_reward_of(states)), settings)
    assert distance(learner.policy) > 0.1
    assert distance(None) > 0.5


def test_the_likelihood_trains_the_backward_policy_and_the_balance_does_not():
    exact = solution()
    trajectories = rollout(GRID, None, 100, generator=torch.Generator().manual_seed(1))
    terms = compute_terms(
        GRID,
        exact,
        trajectories,
        TrajectoryBalance(),
        log_z=torch.tensor(1.0),
        log_reward=log_reward_of(trajectories.terminal),
    )
    TrajectoryBalance()(terms.with_fixed_backward()).mean().backward()
    assert exact.backward_table.grad is None
    assert exact.forward_table.grad.abs().max() > 0


@pytest.mark.parametrize(
    "settings", [{"backward": "uniform"}, {"objective": "flow_matching"}], ids=["fixed backward", "no backward"]
)
def test_a_likelihood_without_a_backward_policy_to_train_is_refused(settings):
    with pytest.raises(ValueError, match="backward_loss: likelihood"):
        train(GRID, StateReward(log_reward_of), Training(backward_loss="likelihood", **settings))
