"""The policy and value networks of PPO."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from al_loop.campaign.building import build_policy, training_settings
from al_loop.config import CampaignConfig
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.policies.base import Policy

_MASKED_LOGIT = torch.finfo(torch.float32).min  # finite: the logits of a finished object are all masked


class ActorCritic(nn.Module):
    """The campaign's policy network, and a second one of the same kind whose state flow is the value of a state.

    Args:
        config: The campaign's configuration.
        environment: The space of objects.
        seed: The seed of the weights.

    Raises:
        ConfigError: The policy has no ``log_flow``.
    """

    def __init__(self, config: CampaignConfig, environment: Environment, seed: int) -> None:
        super().__init__()
        training = training_settings(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy: Policy = build_policy(config, environment, training)
            self.value: Policy = build_policy(config, environment, training)
        if self.value.log_flow(environment.initial(1)) is None:
            raise ConfigError(
                f"sampler.policy: ppo requires a policy that implements log_flow, for the values of states, and "
                f"{type(self.value).__name__} does not"
            )

    def logits(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of all actions; those that are not allowed have the smallest finite number.

        Args:
            states: n x state_size.
            mask: n x n_actions, True where an action is allowed.

        Returns:
            n x n_actions, float32.
        """
        return self.policy.forward_logits(states).float().masked_fill(~mask, _MASKED_LOGIT)

    def values(self, states: Tensor) -> Tensor:
        """Return the expected reward from each state on: n, float32.

        Args:
            states: n x state_size.
        """
        values = self.value.log_flow(states)
        assert values is not None
        return values.float()
