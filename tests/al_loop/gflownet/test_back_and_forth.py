"""Detailed balance of back-and-forth moves with Metropolis-Hastings, by enumerating every path on small spaces."""

import itertools
import math

import pytest
import torch

from al_loop.environments.assignment import Assignments
from al_loop.environments.hypergrid import Hypergrid
from al_loop.environments.sequence import Sequences
from al_loop.environments.set import Sets
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.back_and_forth import (
    back_and_forth,
    fixed_steps,
    metropolis_hastings,
    random_shares,
    share_of_steps,
)
from al_loop.gflownet.exact_distribution import terminal_states
from al_loop.gflownet.policies.mlp import MLPPolicy

SPACES = {
    "any order": Assignments("01", 3),
    "variable length": Sequences("AC", 3, 1),
    "both ends": Sequences("AC", 3, 2, order="prepend_append"),
    "grid": Hypergrid(2, 3),
    "sets": Sets(4, 3, 1),
}
RULES = {"1 step": fixed_steps(1), "2 steps": fixed_steps(2), "half": share_of_steps(0.5), "all": share_of_steps(1.0)}


def policy_of(space):
    torch.manual_seed(3)
    return MLPPolicy(space, hidden=16).requires_grad_(False)


def paths_back(space, policy, state):
    """Yield every history of a state as (states from the first on, actions, log P_B)."""
    pending = [([state], [], 0.0)]
    while pending:
        states, actions, log_pb = pending.pop()
        mask = space.backward_mask(states[0])
        if not mask.any():
            yield states, actions, log_pb
            continue
        log_p = masked_log_softmax(policy.backward_logits(states[0]).double(), mask)[0]
        for choice in mask[0].nonzero()[:, 0]:
            before = space.backward_step(states[0], choice[None])
            action = space.forward_action(states[0], choice[None])
            pending.append(([before, *states], [action, *actions], log_pb + float(log_p[choice])))


def paths_forth(space, policy, state):
    """Yield every completion of a state as (terminal state, number of steps, log P_F, log P_B)."""
    pending = [(state, 0, 0.0, 0.0)]
    while pending:
        state, n, log_pf, log_pb = pending.pop()
        if bool(space.is_terminal(state)):
            yield state, n, log_pf, log_pb
            continue
        mask = space.forward_mask(state)
        log_p = masked_log_softmax(policy.forward_logits(state).double(), mask)[0]
        for action in mask[0].nonzero()[:, 0]:
            after = space.step(state, action[None])
            back = masked_log_softmax(policy.backward_logits(after).double(), space.backward_mask(after))[0]
            undo = space.backward_action(state, action[None])
            pending.append((after, n + 1, log_pf + float(log_p[action]), log_pb + float(back[undo])))


def transition_matrix(space, policy, rule, log_reward):
    """Return the probability of moving from each terminal state to each other one, and the terminal states."""
    states = terminal_states(space)
    index = {tuple(row): i for i, row in enumerate(states.tolist())}
    T = torch.zeros(len(states), len(states), dtype=torch.float64)
    for i in range(len(states)):
        for history, actions, log_pb in paths_back(space, policy, states[i : i + 1]):
            length = torch.tensor([len(actions)])
            first = int(length - rule(length))
            tail_pf = tail_pb = 0.0
            for before, action, after in zip(history[first:-1], actions[first:], history[first + 1 :], strict=True):
                log_p = masked_log_softmax(policy.forward_logits(before).double(), space.forward_mask(before))[0]
                tail_pf += float(log_p[action])
                back = masked_log_softmax(policy.backward_logits(after).double(), space.backward_mask(after))[0]
                tail_pb += float(back[space.backward_action(before, action)])
            for end, n, log_pf, new_pb in paths_forth(space, policy, history[first]):
                new_length = torch.tensor([first + n])
                j = index[tuple(end[0].tolist())]
                if int(new_length - rule(new_length)) != first:
                    continue
                ratio = new_pb + tail_pf - tail_pb - log_pf
                a = float(log_reward[j] - log_reward[i]) + ratio
                T[i, j] += torch.tensor(log_pb + log_pf + min(0.0, a)).double().exp()
    T.fill_diagonal_(0.0)
    T += torch.diag(1 - T.sum(1))
    return T, states


@pytest.mark.parametrize(("space", "rule"), [*itertools.product(SPACES, RULES)])
def test_moves_keep_detailed_balance(space, rule):
    """Hold the implementation's log-ratios against enumerated paths, and these against detailed balance."""
    space, rule = SPACES[space], RULES[rule]
    policy = policy_of(space)
    generator = torch.Generator().manual_seed(1)
    log_reward = torch.randn(len(terminal_states(space)), generator=generator, dtype=torch.float64)
    T, states = transition_matrix(space, policy, rule, log_reward)
    p = log_reward.softmax(0)
    flow = p[:, None] * T
    assert (flow - flow.t()).abs().max() < 1e-8
    assert (p @ T - p).abs().max() < 1e-8

    # frequencies of the implementation agree with the enumerated kernel
    index = {tuple(row): i for i, row in enumerate(states.tolist())}
    n = 400
    rows = torch.arange(len(states)).repeat_interleave(n)
    move = back_and_forth(space, policy, states[rows], rule, generator=generator)
    proposed = torch.tensor([index[tuple(row)] for row in move.states.tolist()])
    accepted = metropolis_hastings(move.log_ratio, log_reward[rows], log_reward[proposed], generator)
    ends = torch.where(accepted, proposed, rows)
    found = torch.zeros_like(T).index_put((rows, ends), torch.tensor(1 / n).double(), accumulate=True)
    assert (found - T).abs().max() < 5 * (0.25 / n) ** 0.5
    # 5,000 draws from p stay draws from p
    draws = torch.multinomial(p, 5000, replacement=True, generator=generator)
    move = back_and_forth(space, policy, states[draws], rule, generator=generator)
    proposed = torch.tensor([index[tuple(row)] for row in move.states.tolist()])
    accepted = metropolis_hastings(move.log_ratio, log_reward[draws], log_reward[proposed], generator)
    after = torch.bincount(torch.where(accepted, proposed, draws), minlength=len(p)) / 5000
    assert (after - p).abs().sum() < 3 * float((p * (1 - p) / 5000).sqrt().sum()) + 0.01


def test_metropolis_hastings_accepts_more_than_barkers_rule():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4000, generator=generator)
    accepted = metropolis_hastings(a, torch.zeros(4000), torch.zeros(4000), generator)
    assert float(accepted.float().mean()) == pytest.approx(float(a.exp().clamp(max=1).mean()), abs=0.03)
    assert float(accepted.float().mean()) > float(a.sigmoid().mean()) + 0.1


def test_an_object_without_reward_is_left_and_never_entered():
    zero = torch.tensor([-torch.inf, 0.0, -torch.inf])
    other = torch.tensor([0.0, -torch.inf, -torch.inf])
    accepted = metropolis_hastings(torch.zeros(3), zero, other, torch.Generator().manual_seed(0))
    assert accepted.tolist() == [True, False, False]


def test_rules_out_of_range_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        fixed_steps(0)
    with pytest.raises(ValueError, match="above 0"):
        share_of_steps(0.0)
    with pytest.raises(ValueError, match="above 0"):
        random_shares(0.0, 1, torch.Generator())
    with pytest.raises(ValueError, match=r"^n: must be a whole number"):
        fixed_steps(math.nan)


@pytest.mark.parametrize(
    ("share", "length", "expected"),
    [
        (0.3, 100, 30),
        (0.6, 100, 60),
        (0.55, 100, 55),
        (0.7, 10, 7),
        (0.31, 100, 31),
        (0.301, 100, 31),
        (1.0, 7, 7),
        (1e-09, 5, 1),
        (0.5, 0, 0),
        (0.5, 5, 3),
    ],
)
def test_a_share_of_the_steps_is_rounded_up_from_its_decimal(share, length, expected):
    assert share_of_steps(share)(torch.tensor([length])).tolist() == [expected]


@pytest.mark.parametrize("mean", [0.25, 0.5, 1.0])
def test_random_shares_have_their_mean_and_reach_the_first_step(mean):
    undone = random_shares(mean, 20_000, torch.Generator().manual_seed(0))(torch.full((20_000,), 100))
    assert float(undone.double().mean()) == pytest.approx(100 * mean, abs=1.0)
    assert int(undone.min()) >= 1
    assert int(undone.max()) == 100
