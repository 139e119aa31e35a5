"""Exact distributions on spaces small enough to enumerate, as the ground truth for samplers."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.action_choice import masked_log_softmax
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.unique_rows import unique_rows


@torch.no_grad()
def terminal_states(environment: Environment) -> Tensor:
    """Return all reachable terminal states, shape n x state_size, in a fixed order."""
    return terminal_distribution(environment, None)[0]


@torch.no_grad()
def terminal_distribution(
    environment: Environment, policy: Policy | None, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the distribution over terminal states, by propagating flow from the initial state.

    Args:
        environment: a small space.
        policy: the policy that chooses the actions; None: uniform.
        start: distinct states from which to start, shape m x state_size, such as the initial states of m conditions;
            None: the initial state.

    Returns:
        Terminal states, shape n x state_size, and their probabilities, shape n, in double precision. The probabilities
        are those given the start: they add up to 1 for each of the m states.
    """
    states = environment.initial(1) if start is None else start
    flow = torch.ones(len(states), dtype=torch.float64, device=states.device)
    terminal: list[Tensor] = []
    mass: list[Tensor] = []
    for _ in range(environment.max_steps + 1):
        is_over = environment.is_terminal(states)
        terminal.append(states[is_over])
        mass.append(flow[is_over])
        states, flow = states[~is_over], flow[~is_over]
        if not len(states):
            break
        mask = environment.forward_mask(states)
        logits = torch.zeros(mask.shape, device=states.device) if policy is None else policy.forward_logits(states)
        probabilities = masked_log_softmax(logits.double(), mask).exp()
        parent_flow, (row, action) = flow, mask.nonzero(as_tuple=True)
        children = environment.step(states[row], action)
        index, group = unique_rows(children)
        states = children[index]
        flow = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        flow.index_add_(0, group, parent_flow[row] * probabilities[row, action])
    all_terminal = torch.cat(terminal)
    index, group = unique_rows(all_terminal)
    total = torch.zeros(len(index), dtype=torch.float64, device=all_terminal.device)
    return all_terminal[index], total.index_add(0, group, torch.cat(mass))


def object_distribution(environment: Environment, policy: Policy | None) -> dict[str, float]:
    """Return the probability of each object, summed over all states that represent it.

    Args:
        environment: a small space.
        policy: the policy that chooses the actions; None: uniform.
    """
    states, probabilities = terminal_distribution(environment, policy)
    total: dict[str, float] = defaultdict(float)
    for name, probability in zip(environment.decode(states), probabilities.tolist(), strict=True):
        total[name] += probability
    return dict(total)
