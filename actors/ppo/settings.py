"""The settings of PPO."""

from __future__ import annotations

from dataclasses import dataclass

from al_loop.actors.ppo.gymnasium_env import Paid


@dataclass(frozen=True)
class PPOSettings:
    """The settings of proximal policy optimisation (Schulman et al. 2017), beside those that all samplers have.

    Attributes:
        entropy: The weight of the policy's entropy in each step, against advantages of standard deviation 1.
        clip: The largest change of an action's probability per draw, as a ratio.
        epochs: The number of passes over the steps of a draw.
        minibatch_size: The number of steps (not objects) in a gradient step.
        gae_lambda: The lambda of generalised advantage estimation; nothing is discounted.
        value_weight: The weight of the value network's loss.
        paid: The reward of an object: log R or R, see ``EpisodeReward``.
        floor: The least log-reward; smaller ones count as this.
    """

    entropy: float = 0.02
    clip: float = 0.2
    epochs: int = 4
    minibatch_size: int = 256
    gae_lambda: float = 0.95
    value_weight: float = 0.5
    paid: Paid = "log_reward"
    floor: float = -60.0
