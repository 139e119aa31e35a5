"""REINFORCE and PPO with a penalty for leaving the language model, as the peers of GFlowNet tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.tokens import Tokens
from al_loop.gflownet.policies.language import LanguagePolicy
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.trajectories import Trajectories
from al_loop.gflownet.trajectory_terms import log_probabilities
from benchmarks.support.ppo import clipped_steps


@dataclass(frozen=True)
class PolicyGradient:
    """Settings.

    Args:
        kl_weight: weight of log q - log p of the frozen model in the reward.
        epochs: gradient steps of a draw; 1: REINFORCE with a mean baseline.
        clip: PPO's clipping of the probability ratio.
        batch_size: continuations of a draw.
        lr: learning rate (AdamW).
    """

    kl_weight: float = 0.1
    epochs: int = 1
    clip: float = 0.2
    batch_size: int = 32
    lr: float = 1e-3


def policy_gradient(
    environment: Tokens,
    log_reward: Callable[[Tensor], Tensor],
    settings: PolicyGradient,
    *,
    seed: int,
    goes_on: Callable[[int, LanguagePolicy], bool],
    lora: int = 16,
) -> LanguagePolicy:
    """Maximise E[log R - kl_weight (log q - log p)] over a policy with adapters.

    Args:
        environment: the space.
        log_reward: terminal states -> log-rewards, n.
        settings: the settings.
        seed: source of all randomness.
        goes_on: called before each draw with its number; False ends the training.
        lora: rank of the adapters.
    """
    torch.manual_seed(seed)
    policy = LanguagePolicy(environment, lora=lora)
    reference = policy.reference()
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=settings.lr)
    generator = torch.Generator().manual_seed(seed)
    step = 0

    def log_pf(drawn: Trajectories) -> Tensor:
        return log_probabilities(environment, policy, drawn)[0].sum(0)

    while goes_on(step, policy):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, (step + 1) / 5)
        n = settings.batch_size
        start = environment.sample_starts(n, min(8, n), generator)
        drawn = rollout(environment, policy, n, generator=generator, start=start)
        with torch.no_grad():
            old = log_pf(drawn)
            base = log_probabilities(environment, reference, drawn)[0].sum(0)
            value = log_reward(drawn.terminal) - settings.kl_weight * (old - base)
            advantage = (value - value.mean()) / value.std().clamp(min=1e-6)
        clipped_steps(
            policy,
            optimizer,
            log_pf,
            drawn,
            old,
            advantage,
            epochs=settings.epochs,
            clip=settings.clip,
            max_norm=1.0,
        )
        step += 1
    return policy
