"""The training of a campaign's sampler by PPO, the reward-maximising baseline."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch

from al_loop.actors.ppo.gymnasium_env import EpisodeReward
from al_loop.actors.ppo.networks import ActorCritic
from al_loop.actors.ppo.rllib import RLlibPPO
from al_loop.actors.ppo.settings import PPOSettings as PPOSettings
from al_loop.campaign.building import build_environment, training_settings
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.config import CampaignConfig, unsupported_by_ppo
from al_loop.errors import ConfigError
from al_loop.gflownet.device import find_device
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.priors import load_prior, read_prior
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.reward import LogReward
from al_loop.gflownet.rollout import rollout
from al_loop.gflownet.saved_state import read_state
from al_loop.seeding import derive_seed
from al_loop.system import stopping

_MAX_AT_ONCE = 256  # objects per roll-out when a pool is drawn


class PPOTraining(SamplerTraining):
    """Trains the policy of a campaign to draw objects of the highest reward, not objects in proportion to it.

    It evaluates as many rewards as a GFlowNet of the same config: ``batch_size x updates`` in each of ``steps``. RLlib
    runs in this process, and starts a local Ray if there is none.

    Args:
        config: The campaign's configuration; ``steps, batch_size, updates, lr, clip_norm, replay_capacity, policy,
            hidden, layers, prior`` and ``device`` of its sampler are used.
        seed: The seed of the weights and of all random choices.
        settings: The settings of PPO; None: the defaults.

    Raises:
        ConfigError: The config uses something that PPO does not support.
    """

    def __init__(self, config: CampaignConfig, *, seed: int, settings: PPOSettings | None = None) -> None:
        if (unsupported := unsupported_by_ppo(config)) is not None:
            raise ConfigError(f"{'.'.join(unsupported[0])}: {unsupported[1]}")
        self._training = training_settings(config)
        self._config, self._seed, self._settings = config, seed, settings or PPOSettings()
        self._environment = build_environment(config)
        self._device = find_device(self._training.device)
        self._networks = ActorCritic(config, self._environment, derive_seed(seed, "weights"))
        prior = read_prior(config.sampler.prior)
        if prior is not None:
            load_prior(self._environment, self._networks.policy, prior)
        self._optimizer: dict[str, Any] | None = None
        self._replay = Replay(self._training.replay_capacity)
        self._info: dict[str, Any] = {}
        self._algorithm: RLlibPPO | None = None

    @property
    def policy(self) -> Policy:
        """The policy that draws."""
        return self._networks.policy

    def state(self) -> bytes:
        buffer = io.BytesIO()
        content = {"kind": "ppo", "networks": self._networks.state_dict(), "optimizer": self._optimizer}
        torch.save({**content, "replay": self._replay.state_dict()}, buffer)
        return buffer.getvalue()

    def load(self, state: bytes) -> None:
        content = read_state(state, "cpu", ("networks", "optimizer"))
        if content.get("kind") != "ppo":
            raise ValueError("it is of another kind of sampler")
        self._networks.load_state_dict(content["networks"])
        self._optimizer = content["optimizer"]
        self._replay.load_state_dict(content["replay"])

    def train(
        self, number: int, log_reward: LogReward, measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        """Train in one round. PPO is on-policy, so neither ``measured`` objects nor ``seeds`` are learned from."""
        self._replay.rescore(log_reward)
        reward = EpisodeReward(log_reward, self._settings.paid, self._settings.floor)
        if self._algorithm is None:
            self._algorithm = self._make_algorithm()
        algorithm = self._algorithm
        algorithm.start_round(self._networks.state_dict(), self._optimizer, reward)
        n_refused = algorithm.n_refused
        steps: list[dict[str, float]] = []
        for i in range(self._training.steps):
            stopping.look()
            step = algorithm.step(derive_seed(self._seed, number, "ppo", i))
            self._replay.add(step.objects, step.states, reward.log_of(step.rewards))
            steps.append({"loss": step.loss, "entropy": step.entropy, "paid": float(step.rewards.mean())})
            yield TrainingStep(i, step.loss)
        networks, self._optimizer = algorithm.state()
        self._networks.load_state_dict(networks)
        self._info = {f"{name}_{at}": steps[i][name] for name in steps[0] for at, i in (("first", 0), ("last", -1))}
        self._info |= {"reward_calls": reward.n_calls, "refused": algorithm.n_refused - n_refused}

    def info(self) -> dict[str, Any]:
        return self._info

    def draw(self, n: int, *, seed: int) -> list[str]:
        names: list[str] = []
        while len(names) < n:
            stopping.look()
            generator = torch.Generator(self._device).manual_seed(derive_seed(seed, len(names)))
            policy = self._networks.policy.to(self._device)
            drawn = rollout(self._environment, policy, min(_MAX_AT_ONCE, n - len(names)), generator=generator)
            names += self._environment.decode(drawn.terminal.cpu())
        self._networks.cpu()
        return names

    def best_seen(self) -> list[str]:
        return self._replay.objects

    def close(self) -> None:
        if self._algorithm is not None:
            self._algorithm.close()
            self._algorithm = None

    def _make_algorithm(self) -> RLlibPPO:
        training = self._training
        return RLlibPPO(
            partial(ActorCritic, self._config, self._environment, derive_seed(self._seed, "weights")),
            self._environment,
            n_objects=training.batch_size * training.updates,
            lr=training.lr,
            clip_norm=training.clip_norm,
            settings=self._settings,
            on_gpu=self._device.type == "cuda",
            seed=self._seed,
        )
