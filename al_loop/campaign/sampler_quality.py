"""Measures of a sampler's fit to its reward, for the round's report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from al_loop.environments.base import Environment
from al_loop.gflownet.evaluation import correlation, effective_share, log_likelihood, log_weights_of
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.gflownet.reward import AnyReward, score
from al_loop.gflownet.sampler import DrawRequest
from al_loop.seeding import derive_seed

_N_MEASURED = 32  # objects whose likelihood is estimated
_N_HISTORIES = 2  # for each of them


def sampler_quality(
    environment: Environment,
    learner: Learner,
    samplers: SamplerGroup,
    log_reward: AnyReward,
    measured: Sequence[str],
    seed: int,
) -> dict[str, float]:
    """Return estimates of a trained sampler's quality, at the price of about two training steps.

    - ``elbo``: lower bound of log Z, which it reaches if the sampler is perfect; compare it with ``log_z``.
    - ``effective_share``: effective sample size of the sampler's draws as a share of their number; 1 if it is perfect.
    - ``reward_correlation``: rank correlation of reward and likelihood over measured objects (at most 32), if three or
      more are in the space.

    Args:
        environment: the space.
        learner: the learner, after its training.
        samplers: its samplers, with its weights.
        log_reward: the reward that it was trained on.
        measured: measured objects.
        seed: source of all randomness.

    Returns:
        The estimates; none where the sampler has no single target: with preferences or a prior, without a backward
        policy, or with several heads.
    """
    training, objective, policy = learner.training, learner.objective, learner.sampling_policy
    is_single = not training.conditioning.n_values and training.heads == 1 and not environment.condition_size
    if not is_single or objective.uses_edges or objective.uses_reference or environment.random_policy:
        return {}
    backward = training.backward
    draw = samplers.begin(DrawRequest(training.batch_size, derive_seed(seed, "draw"))).result().to(learner.device)
    reward = draw.log_reward.clamp(min=draw.log_reward.max() - training.floor)
    log_weights = log_weights_of(environment, policy, draw.trajectories, reward, backward)
    quality = {"elbo": float(log_weights.mean()), "effective_share": effective_share(log_weights)}
    names, rows = [], []
    order = torch.randperm(len(measured), generator=torch.Generator().manual_seed(seed)).tolist()
    for index in order[: 2 * _N_MEASURED]:
        try:
            rows.append(environment.encode([measured[index]]))
        except ValueError:
            continue
        names.append(measured[index])
    if len(names) > 2:
        names, states = names[:_N_MEASURED], torch.cat(rows[:_N_MEASURED]).to(learner.device)
        rewards = score(log_reward, names, states)
        generator = torch.Generator(learner.device).manual_seed(seed)
        likelihood = log_likelihood(environment, policy, states, _N_HISTORIES, generator=generator, backward=backward)
        is_finite = rewards.isfinite()
        if int(is_finite.sum()) > 2:
            quality["reward_correlation"] = correlation(rewards[is_finite], likelihood[is_finite])[1]
    return {name: value for name, value in quality.items() if math.isfinite(value)}
