"""The sampler: draws trajectories with the weights it was last given, and scores their objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.rollout import Trajectories, rollout

#: log-rewards of objects: n
LogReward = Callable[[Sequence[str]], Tensor]


@dataclass(frozen=True)
class Draw:
    """Objects that were drawn, how, and the reward of each.

    log_reward: n, of the objects (``log_multiplicity`` of the states is not subtracted).
    """

    objects: list[str]
    trajectories: Trajectories
    log_reward: Tensor

    @staticmethod
    def join(draws: Sequence[Draw]) -> Draw:
        """All of several draws."""
        return Draw(
            [o for d in draws for o in d.objects],
            Trajectories.join([d.trajectories for d in draws]),
            torch.cat([d.log_reward for d in draws]),
        )


class Sampler:
    """Rolls out trajectories and runs the reward next to them; the same class inline and as a Ray actor."""

    def __init__(self, environment: Environment, policy: Policy) -> None:
        self._environment = environment
        self._policy = policy
        self._log_reward: LogReward | None = None

    def set_reward(self, log_reward: LogReward) -> None:
        """What the next draws are scored with."""
        self._log_reward = log_reward

    def set_weights(self, weights: Mapping[str, Tensor]) -> None:
        """The policy's weights for the next draws."""
        self._policy.load_state_dict(weights)

    def draw(self, n: int, *, seed: int, epsilon: float = 0.0) -> Draw:
        """N objects from the policy, with a share epsilon of uniform actions."""
        assert self._log_reward is not None, "set_reward comes first"
        generator = torch.Generator().manual_seed(seed)
        trajectories = rollout(self._environment, self._policy, n, generator=generator, epsilon=epsilon)
        objects = self._environment.decode(trajectories.terminal)
        return Draw(objects, trajectories, self._log_reward(objects))
