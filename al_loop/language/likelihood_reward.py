"""A campaign's reward for samplers that continue prompts: acquisition, and the likelihood under the language model."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.environments.tokens import Tokens
from al_loop.errors import ConfigError
from al_loop.gflownet.reward import AnyReward, Reward, StateReward
from al_loop.language.rewards import Continuation
from al_loop.smiles import without_messages


class LikelihoodReward:
    """log R = log p(continuation | prompt) / T + the log-reward of the object that it represents.

    An object that is not valid has no features, and therefore the lowest log-reward of a campaign. Several
    continuations may be one object, and their rewards add up: with T = 1, to the model's probability of the object
    times its reward.

    Args:
        reward: the log-reward of objects.
        environment: the space.
        temperature: T, above 0; None: without the likelihood, for an objective that has it as its reference.
    """

    def __init__(self, reward: AnyReward, environment: Tokens, temperature: float | None) -> None:
        self._reward, self._environment = reward, environment
        self._likelihood: Continuation | None = None
        if temperature is not None:
            self._likelihood = Continuation(temperature)
            self._likelihood.bind(environment)

    @torch.no_grad()
    def __call__(self, states: Tensor) -> Tensor:
        """Return log-rewards of terminal states: n, or n x objectives."""
        assert not isinstance(self._reward, StateReward)
        objects = self._environment.decode(states)
        with without_messages() if self._environment.object_type == "molecule" else nullcontext():
            total: Tensor = self._reward(objects).to(states.device)
        if self._likelihood is None:
            return total
        log_p: Tensor = self._likelihood(states).to(total)
        return total + (log_p if total.dim() == 1 else log_p[:, None])

    def uncertainty(self, states: Tensor) -> Tensor:
        """Return the uncertainty about terminal states, see ``Reward.uncertainty``: n; 0 where it is unknown."""
        assert isinstance(self._reward, Reward)
        uncertainty = self._reward.uncertainty(self._environment.decode(states))
        return torch.zeros(len(states)) if uncertainty is None else uncertainty


def with_likelihood(
    reward: AnyReward, environment: Environment, temperature: float | None, uses_reference: bool
) -> AnyReward:
    """Return a campaign's reward in the form in which samplers of its environment need it.

    Args:
        reward: the reward of objects.
        environment: the space.
        temperature: that of the likelihood; None: the campaign names none, which means 1 where there are prompts.
        uses_reference: whether the objective has the model's likelihood as its reference already.

    Raises:
        ConfigError: a temperature is named without a language model, or with an objective that has a temperature of 1.
    """
    if not isinstance(environment, Tokens):
        if temperature is not None:
            raise ConfigError(
                f"reward.prior: a likelihood requires a language model, and the environment is {environment.name}; "
                "remove it, or use environment: {kind: tokens}"
            )
        return reward
    if uses_reference and temperature not in (None, 1.0):
        raise ConfigError(
            f"reward.prior: the objective is relative to the language model at temperature 1, got {temperature:g}; "
            "use 1, or another objective, such as trajectory_balance"
        )
    likelihood = LikelihoodReward(reward, environment, None if uses_reference else temperature or 1.0)
    return StateReward(likelihood, uncertainty=likelihood.uncertainty if isinstance(reward, Reward) else None)
