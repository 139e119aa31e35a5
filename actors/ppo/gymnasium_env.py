"""Environments of al-loop as environments of gymnasium: one object per episode, with a reward at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from al_loop.environments.base import Environment
from al_loop.gflownet.reward import LogReward

#: the reward of an episode: log R, or R itself
Paid = Literal["log_reward", "reward"]
Observation = dict[str, NDArray[Any]]


class EpisodeReward:
    """The rewards of finished objects, and their number.

    A GFlowNet draws objects in proportion to R. Both choices have the same best object; log R is the default, since
    its values are of one magnitude, while the best object dominates all others in R = exp(log R).

    Args:
        log_reward: The log-rewards of objects, n -> n.
        paid: The reward of an object: log R or R.
        floor: The least log-reward; smaller ones count as this, -inf too.
    """

    def __init__(self, log_reward: LogReward, paid: Paid = "log_reward", floor: float = -60.0) -> None:
        self._log_reward, self._paid, self._floor = log_reward, paid, floor
        #: the number of objects that were scored
        self.n_calls = 0

    def __call__(self, objects: Sequence[str]) -> NDArray[np.float64]:
        """Return the reward of each object, computed in one call: n, float64.

        Args:
            objects: The finished objects, n.

        Raises:
            ValueError: A log-reward is NaN or +inf, or there is not one for each object.
        """
        values = self._log_reward(objects).detach().cpu().float()
        self.n_calls += len(objects)
        if values.shape != (len(objects),):
            raise ValueError(
                f"expected one log-reward for each of {len(objects)} objects, got shape {tuple(values.shape)}"
            )
        if bool(values.isnan().any()) or bool((values == torch.inf).any()):
            raise ValueError("a log-reward is NaN or +inf")
        clamped = values.double().clamp(min=self._floor)
        rewards: NDArray[np.float64] = (clamped if self._paid == "log_reward" else clamped.exp()).numpy()
        return rewards

    def log_of(self, rewards: NDArray[np.float64]) -> Tensor:
        """Return the log-rewards of rewards, not below the floor: n, float32.

        Args:
            rewards: Rewards of this class, n.
        """
        values = torch.from_numpy(rewards)
        return (values if self._paid == "log_reward" else values.log()).float()


def observation_space(environment: Environment) -> spaces.Dict:
    """Return the space of observations.

    Returns:
        ``action_mask`` (n_actions, 1 where an action is allowed) and ``observations`` (the state, state_size).
    """
    limit = np.iinfo(np.int32)
    return spaces.Dict(
        {
            "action_mask": spaces.Box(0, 1, (environment.n_actions,), np.int8),
            "observations": spaces.Box(limit.min, limit.max, (environment.state_size,), np.int64),
        }
    )


def _observe(states: Tensor, mask: Tensor) -> Observation:
    return {"action_mask": mask.numpy().astype(np.int8), "observations": states.numpy().copy()}


class ObjectVectorEnv(gymnasium.vector.VectorEnv[Observation, NDArray[np.int64], NDArray[Any]]):
    """A batch of objects under construction; all that are finished by one step are scored in one call.

    An action that the mask does not allow changes nothing and is counted; an episode is truncated when such actions
    have made it ``max_steps`` long. ``infos["object"]`` has the finished objects.

    Args:
        environment: The space of objects.
        reward: The reward of finished objects.
        num_envs: The number of objects.
        autoreset_mode: ``NEXT_STEP``: an episode that is over restarts with the next step, whatever its action;
            ``DISABLED``: it stays over (steps change nothing and have no reward) until ``reset``.
    """

    def __init__(
        self,
        environment: Environment,
        reward: EpisodeReward,
        num_envs: int,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        self._environment, self.reward, self._mode = environment, reward, autoreset_mode
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space = observation_space(environment)
        self.single_action_space = spaces.Discrete(environment.n_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        #: the number of actions that were not allowed
        self.n_refused = 0
        self._start()

    def _start(self) -> None:
        self._states = self._environment.initial(self.num_envs)
        self._mask = self._environment.forward_mask(self._states)
        self._length = torch.zeros(self.num_envs, dtype=torch.int64)
        self._is_over = torch.zeros(self.num_envs, dtype=torch.bool)

    @property
    def states(self) -> Tensor:
        """The current states of the objects: num_envs x state_size."""
        return self._states

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Restart all objects."""
        super().reset(seed=seed, options=options)
        self._start()
        return _observe(self._states, self._mask), {}

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Take one action for each object.

        Args:
            actions: num_envs.
        """
        environment, indices = self._environment, torch.as_tensor(np.asarray(actions), dtype=torch.int64)
        was_over = self._is_over
        is_allowed = self._mask.gather(1, indices[:, None])[:, 0]
        acting = (is_allowed & ~was_over).nonzero()[:, 0]
        self.n_refused += int((~is_allowed & ~was_over).sum())
        states = self._states.clone()
        if len(acting):
            states[acting] = environment.step(states[acting], indices[acting])
        self._length = self._length + (~was_over).long()
        if self._mode is AutoresetMode.NEXT_STEP and bool(was_over.any()):
            states[was_over] = environment.initial(int(was_over.sum()))
            self._length = self._length.masked_fill(was_over, 0)
            self._is_over = torch.zeros_like(was_over)
            was_over = self._is_over
        is_finished = environment.is_terminal(states) & ~was_over
        is_cut = (self._length >= environment.max_steps) & ~is_finished & ~was_over
        self._states, self._is_over = states, was_over | is_finished | is_cut
        self._mask = environment.forward_mask(states)
        rewards, infos = np.zeros(self.num_envs), {}
        if bool(is_finished.any()):
            done = is_finished.numpy()
            objects = environment.decode(states[is_finished])
            rewards[done] = self.reward(objects)
            names = np.full(self.num_envs, None, dtype=object)
            names[done] = objects
            infos = {"object": names, "_object": done}
        return _observe(states, self._mask), rewards, is_finished.numpy(), is_cut.numpy(), infos


class ObjectEnv(gymnasium.Env[Observation, np.int64]):
    """A single object under construction, with the same spaces and rules as ``ObjectVectorEnv``.

    Args:
        environment: The space of objects.
        reward: The reward of the finished object.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  as gymnasium declares it

    def __init__(self, environment: Environment, reward: EpisodeReward) -> None:
        self._batch = ObjectVectorEnv(environment, reward, 1, AutoresetMode.DISABLED)
        self.observation_space = self._batch.single_observation_space
        self.action_space = self._batch.single_action_space

    @property
    def n_refused(self) -> int:
        """The number of actions that were not allowed."""
        return self._batch.n_refused

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Restart the object."""
        super().reset(seed=seed)
        return _first(self._batch.reset()[0]), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take one action."""
        observation, rewards, finished, cut, infos = self._batch.step(np.array([action]))
        info = {"object": infos["object"][0]} if infos else {}
        return _first(observation), float(rewards[0]), bool(finished[0]), bool(cut[0]), info


def _first(observation: Observation) -> Observation:
    return {name: rows[0] for name, rows in observation.items()}
