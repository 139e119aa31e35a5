"""Adapters to RLlib. Everything here depends on RLlib's internal classes, which change between its versions.

The rest of al-loop uses ``RLlibPPO`` alone.
"""

from __future__ import annotations

import copy
import logging
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor

with warnings.catch_warnings():  # deprecated names that RLlib's own modules use are nothing that a user could change
    warnings.simplefilter("ignore", DeprecationWarning)
    from ray.rllib.algorithms.ppo import PPO, PPOConfig
    from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
    from ray.rllib.core import DEFAULT_MODULE_ID
    from ray.rllib.core.columns import Columns
    from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec
    from ray.rllib.core.rl_module.torch import TorchRLModule
    from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode
    from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, LEARNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from al_loop.actors.cluster.connect import connect
from al_loop.actors.ppo.gymnasium_env import EpisodeReward, ObjectVectorEnv, Observation
from al_loop.actors.ppo.networks import ActorCritic
from al_loop.actors.ppo.settings import PPOSettings
from al_loop.environments.base import Environment

_LOGGERS = ("ray.rllib", "ray.tune", "ray._common.deprecation")


@dataclass(frozen=True)
class PPOStep:
    """One draw, and the passes over it.

    Attributes:
        objects: The objects that were finished, n.
        states: Their terminal states, n x state_size.
        rewards: Their rewards, n.
        loss: The mean loss of the gradient steps.
        entropy: The mean entropy of the policy.
    """

    objects: list[str]
    states: Tensor
    rewards: NDArray[np.float64]
    loss: float
    entropy: float


class RLlibPPO:
    """RLlib's PPO in this process, driven one draw at a time.

    Args:
        make_networks: Makes the policy and value networks.
        environment: The space of objects.
        n_objects: The number of objects of a draw.
        lr: The learning rate.
        clip_norm: The largest norm of a gradient; None: not limited.
        settings: The settings of PPO.
        on_gpu: Whether the networks are trained on the GPU.
        seed: The seed of the initial state.
    """

    def __init__(
        self,
        make_networks: Callable[[], ActorCritic],
        environment: Environment,
        *,
        n_objects: int,
        lr: float,
        clip_norm: float | None,
        settings: PPOSettings,
        on_gpu: bool,
        seed: int,
    ) -> None:
        self._has_started_ray = not ray.is_initialized()
        if self._has_started_ray:
            connect("local", num_cpus=1, logging_level=logging.ERROR)
        config = (
            PPOConfig(algo_class=_PPO)
            .environment(_Objects, env_config={"environment": environment})
            .env_runners(
                env_runner_cls=_Runner,
                num_env_runners=0,
                num_envs_per_env_runner=n_objects,
                gym_env_vectorize_mode="vector_entry_point",
                batch_mode="complete_episodes",
                create_env_on_local_worker=True,
            )
            .learners(num_learners=0, num_gpus_per_learner=1 if on_gpu else 0)
            .rl_module(rl_module_spec=RLModuleSpec(module_class=_Module, model_config={"networks": make_networks}))
            .training(
                learner_class=_Learner,
                gamma=1.0,
                lambda_=settings.gae_lambda,
                lr=lr,
                train_batch_size_per_learner=settings.minibatch_size,  # unused, but checked against minibatch_size
                minibatch_size=settings.minibatch_size,
                num_epochs=settings.epochs,
                shuffle_batch_per_epoch=True,
                clip_param=settings.clip,
                vf_clip_param=float("inf"),
                vf_loss_coeff=settings.value_weight,
                entropy_coeff=settings.entropy,
                use_kl_loss=False,
                grad_clip=clip_norm,
                grad_clip_by="global_norm",
            )
            .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
            .debugging(log_level="ERROR")
        )
        try:
            with _seeded(seed), _quiet():
                self._algorithm: Any = config.build_algo()
        except BaseException:
            if self._has_started_ray:
                ray.shutdown()
            raise
        learner = self._algorithm.learner_group._learner
        self._initial_optimizer = copy.deepcopy(learner.get_optimizer(DEFAULT_MODULE_ID).state_dict())

    @property
    def n_refused(self) -> int:
        """The number of actions so far that were not allowed."""
        return int(self._algorithm.env_runner.env.unwrapped.n_refused)

    def start_round(
        self, networks: Mapping[str, Tensor], optimizer: Mapping[str, Any] | None, reward: EpisodeReward
    ) -> None:
        """Set the weights, the optimiser's state and the reward.

        Args:
            networks: The state of the networks.
            optimizer: The state of the optimiser; None: that of a new one.
            reward: The reward of objects.
        """
        runner, learner = self._algorithm.env_runner, self._algorithm.learner_group._learner
        for module in (runner.module, learner.module[DEFAULT_MODULE_ID].unwrapped()):
            module.networks.load_state_dict(networks)
        state = copy.deepcopy(self._initial_optimizer if optimizer is None else dict(optimizer))
        learner.get_optimizer(DEFAULT_MODULE_ID).load_state_dict(state)
        runner.env.unwrapped.reward, runner.scale = reward, None

    def step(self, seed: int) -> PPOStep:
        """Draw objects with the policy, and train on them.

        Args:
            seed: The seed of all random choices.
        """
        with _seeded(seed), _quiet():
            results = self._algorithm.train()
        objects, states, rewards = self._algorithm.env_runner.finished
        learner = results["learners"][DEFAULT_MODULE_ID]
        return PPOStep(objects, states, rewards, float(learner["total_loss"]), float(learner["entropy"]))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state of the networks, on the CPU, and that of the optimiser."""
        learner = self._algorithm.learner_group._learner
        networks = learner.module[DEFAULT_MODULE_ID].unwrapped().networks.state_dict()
        optimizer = learner.get_optimizer(DEFAULT_MODULE_ID).state_dict()
        return {name: tensor.cpu() for name, tensor in networks.items()}, copy.deepcopy(optimizer)

    def close(self) -> None:
        """Stop RLlib, and Ray where it was started here."""
        with _quiet():
            self._algorithm.stop()
        shutil.rmtree(self._algorithm.logdir, ignore_errors=True)  # an empty folder in ~/ray_results
        if self._has_started_ray:
            ray.shutdown()


class _Module(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]  # RLlib is untyped here
    """The two networks as a module of RLlib."""

    def setup(self) -> None:
        self.networks = self.model_config["networks"]()

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        observations = batch[Columns.OBS]
        states, mask = observations["observations"].long(), observations["action_mask"].bool()
        return {Columns.ACTION_DIST_INPUTS: self.networks.logits(states, mask)}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        values: Tensor = self.networks.values(batch[Columns.OBS]["observations"].long())
        return values


class _Learner(PPOTorchLearner):  # type: ignore[misc]  # RLlib is untyped here
    """Skips parameters without a gradient, such as those of a backward policy."""

    def compute_gradients(self, *args: Any, **kwargs: Any) -> dict[Any, Tensor]:
        gradients = super().compute_gradients(*args, **kwargs)
        return {name: gradient for name, gradient in gradients.items() if gradient is not None}


class _Objects(ObjectVectorEnv):
    """The environment as RLlib constructs it; the reward comes with the first round."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings["environment"], EpisodeReward(_unset), settings["num_envs"], AutoresetMode.DISABLED)


def _unset(_: Sequence[str]) -> Tensor:
    raise RuntimeError("start_round has to be called first")


class _Runner(SingleAgentEnvRunner):  # type: ignore[misc]  # RLlib is untyped here
    """Draws exactly one episode in each slot of the batch.

    RLlib's own runner stops after a number of episodes or steps, whichever slots they came from: long objects would be
    sampled too rarely, and rewards would be paid for objects that are cut and never learned from.
    """

    #: mean and standard deviation of the rewards of a round's first batch; values are learned on that scale
    scale: tuple[float, float] | None = None
    #: objects, terminal states and rewards of the last batch
    finished: tuple[list[str], Tensor, NDArray[np.float64]]

    def sample(self, **_: Any) -> list[SingleAgentEpisode]:
        env: ObjectVectorEnv = self.env.unwrapped
        n, steps = env.num_envs, []
        observation, _ = env.reset()
        total, alive, names = np.zeros(n), np.arange(n), np.full(n, None, dtype=object)
        while len(alive):
            batch = {Columns.OBS: {k: torch.from_numpy(v[alive]).to(self._device) for k, v in observation.items()}}
            logits = self.module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS].cpu()
            distribution = self.module.get_exploration_action_dist_cls().from_logits(logits)
            samples = distribution.sample()
            actions = np.zeros(n, dtype=np.int64)
            actions[alive] = samples.numpy()
            steps.append((alive, observation, actions, logits.numpy(), distribution.logp(samples).numpy()))
            observation, rewards, terminated, truncated, infos = env.step(actions)
            total += rewards
            if infos:
                names[infos["_object"]] = infos["object"][infos["_object"]]
            alive = alive[~(terminated | truncated)[alive]]
        self.finished = (list(names), env.states, total)
        if self.scale is None:
            self.scale = (float(total.mean()), max(float(total.std()), 1e-6))
        episodes = self._episodes(steps, observation, (total - self.scale[0]) / self.scale[1])
        n_steps = sum(map(len, episodes))
        self._done_episodes_for_metrics.extend(episodes)
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=n_steps)
        self._increase_sampled_metrics(n_steps, len(episodes))
        return episodes

    def _episodes(
        self, steps: Sequence[Any], last: Observation, rewards: NDArray[np.float64]
    ) -> list[SingleAgentEpisode]:
        """Return an episode for each slot: its observations, actions, logits, and the reward at its end."""
        rows: list[list[tuple[int, int]]] = [[] for _ in rewards]
        for t, (alive, *_) in enumerate(steps):
            for k, i in enumerate(alive):
                rows[i].append((t, k))
        episodes = []
        for i, own in enumerate(rows):
            final = last if own[-1][0] + 1 == len(steps) else steps[own[-1][0] + 1][1]
            observations = [*(steps[t][1] for t, _ in own), final]
            episode = SingleAgentEpisode(
                observations=[{name: o[name][i] for name in o} for o in observations],
                observation_space=self.env.single_observation_space,
                actions=[steps[t][2][i] for t, _ in own],
                action_space=self.env.single_action_space,
                rewards=[0.0] * (len(own) - 1) + [float(rewards[i])],
                infos=[{}] * len(observations),
                terminated=True,
                extra_model_outputs={
                    Columns.ACTION_DIST_INPUTS: [steps[t][3][k] for t, k in own],
                    Columns.ACTION_LOGP: [steps[t][4][k] for t, k in own],
                },
                len_lookback_buffer=0,
            )
            episodes.append(episode.to_numpy())
        return episodes


class _PPO(PPO):  # type: ignore[misc]  # RLlib is untyped here
    """Trains on one draw of the runner, whatever its number of steps, in all passes over it."""

    def training_step(self) -> None:
        episodes = self.env_runner.sample()
        self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        n_steps = sum(map(len, episodes))
        results = self.learner_group.update(
            episodes=episodes,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_runner.num_env_steps_sampled_lifetime},
            num_epochs=self.config.num_epochs,
            minibatch_size=min(self.config.minibatch_size, n_steps),
            shuffle_batch_per_epoch=True,
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, policies={DEFAULT_MODULE_ID}, inference_only=True
        )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed all global generators, which RLlib draws from, and restore them afterwards."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings of RLlib and gymnasium about their own future; errors and warnings of rewards come through."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(ray|gymnasium)\.")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
