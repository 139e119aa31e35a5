"""Negatives of an energy: the objects whose score a training step lowers, with their weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.back_and_forth import back_and_forth, fixed_steps, metropolis_hastings
from al_loop.gflownet.backward_rollout import Backward
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities


@dataclass(frozen=True)
class NegativeObjects:
    """Objects whose score is lowered.

    Args:
        states: terminal states, shape n x state_size.
        weights: their weights, shape n, which add up to 1.
        share: of moves, the share of accepted ones; of fresh objects, the effective share of their weights.
    """

    states: Tensor
    weights: Tensor
    share: float


def n_undone(step: int, steps: int, warmup: float, longest: int) -> int:
    """Return the number of undone steps of a move, which grows linearly from 1 to all of them.

    Args:
        step: number of the training step, from 0.
        steps: number of training steps.
        warmup: share of the training steps in which it grows.
        longest: number of steps of the longest history.
    """
    if warmup * steps <= 1:
        return longest
    return min(1 + math.floor(step / (warmup * steps) * (longest - 1)), longest)


@torch.no_grad()
def fresh(
    environment: Environment,
    policy: Policy,
    score: Callable[[Tensor], Tensor],
    trajectories: Trajectories,
    *,
    backward: Backward,
    is_corrected: bool,
) -> NegativeObjects:
    """Return the objects that a sampler drew, weighted by how much more often the energy would draw them.

    Args:
        environment: the space.
        policy: the policy that drew the trajectories.
        score: the energy.
        trajectories: n trajectories.
        backward: the backward policy.
        is_corrected: whether to weight them; if not, all have the same weight.
    """
    states, n = trajectories.terminal, len(trajectories)
    if not is_corrected:
        return NegativeObjects(states, torch.full((n,), 1 / n, device=states.device), 1.0)
    log_pf, log_pb = log_probabilities(environment, policy, trajectories, backward=backward)
    log_weight = score(states) - environment.log_multiplicity(states) + log_pb.sum(0) - log_pf.sum(0)
    weights = log_weight.double().softmax(0)
    return NegativeObjects(states, weights.float(), float(1 / (weights**2).sum() / n))


@torch.no_grad()
def moved(
    environment: Environment,
    policy: Policy,
    score: Callable[[Tensor], Tensor],
    states: Tensor,
    k: int,
    *,
    generator: torch.Generator,
    backward: Backward,
    is_corrected: bool,
) -> NegativeObjects:
    """Return the objects to which back-and-forth moves lead from objects of the data.

    Args:
        environment: the space.
        policy: the policy, on the device of the states.
        score: the energy.
        states: terminal states of data, shape n x state_size.
        k: number of steps that a move undoes.
        generator: source of all randomness, on the device of the states.
        backward: the backward policy.
        is_corrected: whether a move is accepted by Metropolis-Hastings; if not, every move is.
    """
    move = back_and_forth(environment, policy, states, fixed_steps(k), generator=generator, backward=backward)
    n, proposed = len(states), move.states
    weights = torch.full((n,), 1 / n, device=states.device)
    if not is_corrected:
        return NegativeObjects(proposed, weights, 1.0)
    assert move.log_ratio is not None
    # of an object with several states, each has its part of the probability
    before = score(states) - environment.log_multiplicity(states)
    after = score(proposed) - environment.log_multiplicity(proposed)
    is_accepted = metropolis_hastings(move.log_ratio, before, after, generator)
    share = float(is_accepted.float().mean())
    return NegativeObjects(torch.where(is_accepted[:, None], proposed, states), weights, share)
