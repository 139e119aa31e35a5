"""Measures of a sampler on spaces too large to enumerate: likelihoods, bounds on log Z, and correlations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.backward_rollout import Backward, backward_rollout
from al_loop.gflownet.policies.base import Context, Policy
from al_loop.gflownet.reward import AnyReward, StateReward, score
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.state_checks import check_starts
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities


@dataclass(frozen=True)
class EvidenceBounds:
    """Estimates of log Z from below and from above; both are log Z for a perfect sampler.

    Args:
        elbo: evidence lower bound, the mean of log R + log P_B - log P_F over the sampler's own trajectories.
        elbo_error: its standard error.
        eubo: evidence upper bound, the mean over histories of objects that are distributed as the reward (Blessing et
            al. 2024); NaN without such objects.
        eubo_error: its standard error.
        effective_share: effective sample size of the importance weights of the sampler's trajectories, as a share of
            their number, from 0 to 1.
        log_z: importance-sampling estimate of log Z from the same trajectories, the log of the mean of the weights.
        log_z_error: its standard error; optimistic if the effective share is small.
    """

    elbo: float
    elbo_error: float
    eubo: float
    eubo_error: float
    effective_share: float
    log_z: float = math.nan
    log_z_error: float = math.nan


def _log_weights(
    environment: Environment,
    policy: Policy,
    trajectories: Trajectories,
    log_reward: AnyReward,
    backward: Backward,
    context: Context | None,
) -> Tensor:
    """Return log R + log P_B - log P_F of trajectories, shape n, in double precision."""
    terminal = trajectories.terminal
    keys = [] if isinstance(log_reward, StateReward) else environment.decode(terminal)
    rewards = score(log_reward, keys, terminal)
    return log_weights_of(environment, policy, trajectories, rewards, backward, context)


def _mean(values: Tensor) -> tuple[float, float]:
    error = float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), error


@torch.no_grad()
def evidence_bounds(
    environment: Environment,
    policy: Policy,
    log_reward: AnyReward,
    n: int,
    *,
    generator: torch.Generator,
    reference: Tensor | None = None,
    backward: Backward = "learned",
    context: Context | None = None,
    start: Tensor | None = None,
) -> EvidenceBounds:
    """Estimate bounds on log Z, under one condition.

    Args:
        environment: the space.
        policy: the policy, on the device of the generator.
        log_reward: the reward; one value for each object.
        n: number of trajectories to draw from the policy.
        generator: source of all randomness.
        reference: terminal states distributed in proportion to the reward, shape m x state_size, such as those of a
            long Markov chain; None: there is no upper bound.
        backward: the backward policy.
        context: context of the trajectories, of which the first row counts, if the policy is conditioned.
        start: initial state, shape 1 x state_size, which a conditioned environment requires.

    Raises:
        ValueError: n is below 1, a condition is missing, or the references have another one.
    """
    if (start is None) != (not environment.condition_size):
        reason = "required, since" if start is None else "superfluous, since it is not"
        raise ValueError(f"start: {reason} the environment is conditioned")
    if start is not None:
        check_starts(environment, start, 1)
        own = start[:, : environment.condition_size]
        if reference is not None and bool((reference[:, : environment.condition_size] != own).any()):
            raise ValueError("reference: some of the objects have another condition than start")
        start = start.expand(n, -1)
    context_of_drawn = _repeated(context, n)
    drawn = rollout(environment, policy, n, generator=generator, context=context_of_drawn, start=start)
    log_weights = _log_weights(environment, policy, drawn, log_reward, backward, context_of_drawn)
    elbo, elbo_error = _mean(log_weights)
    share = effective_share(log_weights)
    eubo = eubo_error = math.nan
    if reference is not None:
        own_context = _repeated(context, len(reference))
        histories = backward_rollout(
            environment, policy, reference, generator=generator, backward=backward, context=own_context
        )
        eubo, eubo_error = _mean(_log_weights(environment, policy, histories, log_reward, backward, own_context))
    log_z = float(log_weights.logsumexp(0)) - math.log(n)
    log_z_error = math.sqrt(max(1 / share - 1, 0.0) / n)
    return EvidenceBounds(elbo, elbo_error, eubo, eubo_error, share, log_z, log_z_error)


def _repeated(context: Context | None, n: int) -> Context | None:
    """Return the context of n trajectories from one that is the same for all."""
    if context is None:
        return None
    parts = (context.values, context.head)
    return Context(*(None if part is None else part[:1].expand(n, *part.shape[1:]) for part in parts))


def effective_share(log_weights: Tensor) -> float:
    """Return the effective sample size of importance weights as a share of their number, from 0 to 1.

    Args:
        log_weights: logarithms of the weights, shape n, in double precision.
    """
    return math.exp(float(2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0))) / len(log_weights)


@torch.no_grad()
def log_weights_of(
    environment: Environment,
    policy: Policy,
    trajectories: Trajectories,
    log_reward: Tensor,
    backward: Backward = "learned",
    context: Context | None = None,
) -> Tensor:
    """Return log R + log P_B - log P_F of trajectories, shape n, in double precision; their mean is the ELBO.

    Args:
        environment: the space.
        policy: the policy that drew the trajectories.
        trajectories: n trajectories.
        log_reward: log-rewards of their objects, shape n.
        backward: the backward policy.
        context: context of each trajectory.
    """
    log_pf, log_pb = log_probabilities(environment, policy, trajectories, backward=backward, context=context)
    reward = log_reward.double() - environment.log_multiplicity(trajectories.terminal).double()
    return reward + log_pb.double().sum(0) - log_pf.double().sum(0)


@torch.no_grad()
def log_likelihood(
    environment: Environment,
    policy: Policy,
    states: Tensor,
    n_histories: int,
    *,
    generator: torch.Generator,
    backward: Backward = "learned",
    context: Context | None = None,
) -> Tensor:
    """Estimate the log-probability with which a policy draws each object, by importance sampling of its histories.

    The estimate is a lower bound in expectation, and exact where an object has one history.

    Args:
        environment: the space.
        policy: the policy, on the device of the states.
        states: terminal states, shape n x state_size.
        n_histories: number of histories of each object, at least 1.
        generator: source of all randomness, on the device of the states.
        backward: the backward policy.
        context: context of each object, if the policy is conditioned.

    Returns:
        Log-probabilities of the objects, shape n, in double precision.

    Raises:
        ValueError: ``n_histories`` is below 1.
    """
    if n_histories < 1:
        raise ValueError(f"n_histories must be at least 1, got {n_histories}")
    if context is not None:
        context = context.rows(torch.arange(len(states), device=states.device).repeat_interleave(n_histories))
    rows = states.repeat_interleave(n_histories, 0)
    histories = backward_rollout(environment, policy, rows, generator=generator, backward=backward, context=context)
    log_pf, log_pb = log_probabilities(environment, policy, histories, backward=backward, context=context)
    ratios = (log_pf.double().sum(0) - log_pb.double().sum(0)).view(len(states), n_histories)
    # each of an object's states is as likely as the one that its history ends in
    multiplicity = environment.log_multiplicity(states).double()
    return ratios.logsumexp(1) - math.log(n_histories) + multiplicity


def correlation(log_reward: Tensor, log_likelihoods: Tensor) -> tuple[float, float]:
    """Return the correlation of log-rewards and log-likelihoods of test objects (Nica et al. 2022).

    Args:
        log_reward: log-rewards, shape n, finite.
        log_likelihoods: log-likelihoods under the sampler, shape n.

    Returns:
        Pearson's and Spearman's coefficient; NaN where one of the two does not vary, or has a value that is not finite.

    Raises:
        ValueError: the numbers differ, or are below 2.
    """
    a, b = log_reward.double().flatten(), log_likelihoods.double().flatten()
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"expected as many log-rewards as log-likelihoods, at least 2, got {len(a)} and {len(b)}")
    if any(bool((x == x[0]).all()) or not bool(x.isfinite().all()) for x in (a, b)):
        return math.nan, math.nan
    pearson, spearman = (torch.corrcoef(torch.stack(pair))[0, 1] for pair in ((a, b), (_ranks(a), _ranks(b))))
    return float(pearson), float(spearman)


def _ranks(values: Tensor) -> Tensor:
    """Return the ranks of values, shape n; equal values share their mean rank."""
    _, group, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks: Tensor = last - (count.double() - 1) / 2
    return ranks[group]
