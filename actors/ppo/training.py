"""The reward-maximising baseline: proximal policy optimisation by RLlib, on al-loop's environments and networks."""

from __future__ import annotations

import copy
import io
import logging
import random
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import ray
import torch
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from torch import Tensor, nn

with warnings.catch_warnings():  # what RLlib's own modules still use is nothing that a user could change
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

from al_loop.actors.ppo.gymnasium_env import EpisodeReward, ObjectVectorEnv, Observation, Paid
from al_loop.campaign.building import build_environment, build_policy, training_settings
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.config import CampaignConfig, unsupported_by_ppo
from al_loop.environments.base import Environment
from al_loop.errors import ConfigError
from al_loop.gflownet.device import find_device
from al_loop.gflownet.policies.base import Policy
from al_loop.gflownet.priors import load_prior, read_prior
from al_loop.gflownet.replay import Replay
from al_loop.gflownet.reward import LogReward
from al_loop.gflownet.rollout import rollout
from al_loop.seeding import derive_seed

_NEVER = torch.finfo(torch.float32).min  # finite: the logits of a finished object are all masked
_CHATTY = ("ray.rllib", "ray.tune", "ray._common.deprecation")
_PART = 256  # objects drawn at a time for a batch to be picked from


@dataclass(frozen=True)
class PPOSettings:
    """Settings of proximal policy optimisation (Schulman et al. 2017), beside those that all samplers have.

    Args:
        entropy: weight of the policy's entropy in each step, against advantages of standard deviation 1.
        clip: how far the probability of an action may move per draw, as a ratio.
        epochs: passes over the steps of a draw.
        minibatch_size: steps (not objects) of a gradient step.
        gae_lambda: of generalised advantage estimation; nothing is discounted.
        value_weight: of the value network's loss.
        paid: log R or R, see ``EpisodeReward``.
        floor: a log-reward below it counts as this.
    """

    entropy: float = 0.02
    clip: float = 0.2
    epochs: int = 4
    minibatch_size: int = 256
    gae_lambda: float = 0.95
    value_weight: float = 0.5
    paid: Paid = "log_reward"
    floor: float = -60.0


class ActorCritic(nn.Module):
    """The policy network of the campaign, and one of the same kind whose flow of a state is the value of the state."""

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
        """Of the allowed actions; the others have the least number there is: n x n_actions."""
        return self.policy.forward_logits(states).float().masked_fill(~mask, _NEVER)

    def values(self, states: Tensor) -> Tensor:
        """What is expected to be paid: n."""
        values = self.value.log_flow(states)
        assert values is not None
        return values.float()


class _Module(TorchRLModule, ValueFunctionAPI):  # type: ignore[misc]  # RLlib is untyped here
    """The two networks as RLlib wants them."""

    def setup(self) -> None:
        self.networks = self.model_config["networks"]()

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Tensor]:
        seen = batch[Columns.OBS]
        return {
            Columns.ACTION_DIST_INPUTS: self.networks.logits(seen["observations"].long(), seen["action_mask"].bool())
        }

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        values: Tensor = self.networks.values(batch[Columns.OBS]["observations"].long())
        return values


class _Learner(PPOTorchLearner):  # type: ignore[misc]  # RLlib is untyped here
    """Leaves parameters alone that took no part, such as those of a backward policy."""

    def compute_gradients(self, *args: Any, **kwargs: Any) -> dict[Any, Tensor]:
        found = super().compute_gradients(*args, **kwargs)
        return {name: gradient for name, gradient in found.items() if gradient is not None}


class _Objects(ObjectVectorEnv):
    """As RLlib makes it; the reward comes with the first round."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings["environment"], EpisodeReward(_unset), settings["num_envs"], AutoresetMode.DISABLED)


def _unset(_: Sequence[str]) -> Tensor:
    raise RuntimeError("set_reward comes first")


class _Runner(SingleAgentEnvRunner):  # type: ignore[misc]  # RLlib is untyped here
    """Draws exactly one episode in each place of the batch.

    RLlib's own runner stops when so many episodes or steps are there, whichever place they came from: long objects
    would be seen too rarely, and those that are cut would cost rewards that nobody learns from.
    """

    #: mean and standard deviation of what the first batch of a round was paid; values are learned on that scale
    scale: tuple[float, float] | None = None
    #: what ended in the last batch: objects, terminal states and what each was paid
    finished: tuple[list[str], Tensor, NDArray[np.float64]]

    def sample(self, **_: Any) -> list[SingleAgentEpisode]:
        env: ObjectVectorEnv = self.env.unwrapped
        n, steps = env.num_envs, []
        seen, _ = env.reset()
        paid, alive, names = np.zeros(n), np.arange(n), np.full(n, None, dtype=object)
        while len(alive):
            batch = {Columns.OBS: {k: torch.from_numpy(v[alive]).to(self._device) for k, v in seen.items()}}
            logits = self.module.forward_exploration(batch)[Columns.ACTION_DIST_INPUTS].cpu()
            chances = self.module.get_exploration_action_dist_cls().from_logits(logits)
            picked = chances.sample()
            actions = np.zeros(n, dtype=np.int64)
            actions[alive] = picked.numpy()
            steps.append((alive, seen, actions, logits.numpy(), chances.logp(picked).numpy()))
            seen, rewards, terminated, truncated, infos = env.step(actions)
            paid += rewards
            if infos:
                names[infos["_object"]] = infos["object"][infos["_object"]]
            alive = alive[~(terminated | truncated)[alive]]
        self.finished = (list(names), env.states, paid)
        if self.scale is None:
            self.scale = (float(paid.mean()), max(float(paid.std()), 1e-6))
        episodes = self._episodes(steps, seen, (paid - self.scale[0]) / self.scale[1])
        n_steps = sum(map(len, episodes))
        self._done_episodes_for_metrics.extend(episodes)
        self._log_env_steps(metric=self._metrics_num_env_steps_sampled, num_steps=n_steps)
        self._increase_sampled_metrics(n_steps, len(episodes))
        return episodes

    def _episodes(self, steps: Sequence[Any], last: Observation, paid: NDArray[np.float64]) -> list[SingleAgentEpisode]:
        """One for each place: all that was seen, done and thought of it, and what it was paid for in the end."""
        rows: list[list[tuple[int, int]]] = [[] for _ in paid]
        for t, (alive, *_) in enumerate(steps):
            for k, i in enumerate(alive):
                rows[i].append((t, k))
        episodes = []
        for i, own in enumerate(rows):
            seen = [*(steps[t][1] for t, _ in own), last if own[-1][0] + 1 == len(steps) else steps[own[-1][0] + 1][1]]
            episode = SingleAgentEpisode(
                observations=[{name: of[name][i] for name in of} for of in seen],
                observation_space=self.env.single_observation_space,
                actions=[steps[t][2][i] for t, _ in own],
                action_space=self.env.single_action_space,
                rewards=[0.0] * (len(own) - 1) + [float(paid[i])],
                infos=[{}] * len(seen),
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
    """One draw of the runner, whatever number of steps it has, then all passes over it."""

    def training_step(self) -> None:
        episodes = self.env_runner.sample()
        self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
        n_steps = sum(map(len, episodes))
        told = self.learner_group.update(
            episodes=episodes,
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_runner.num_env_steps_sampled_lifetime},
            num_epochs=self.config.num_epochs,
            minibatch_size=min(self.config.minibatch_size, n_steps),
            shuffle_batch_per_epoch=True,
        )
        self.metrics.aggregate(told, key=LEARNER_RESULTS)
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, policies={DEFAULT_MODULE_ID}, inference_only=True
        )


class PPOTraining(SamplerTraining):
    """Trains the policy of a campaign to draw objects of the highest reward, not objects in proportion to it.

    It asks for as many rewards as a GFlowNet of the same config: ``batch_size x updates`` in each of ``steps``. RLlib
    runs in this process, and starts a local Ray where there is none.

    Args:
        config: of the campaign; ``steps, batch_size, updates, lr, clip_norm, replay_capacity, policy, hidden, layers,
            prior`` and ``device`` of its sampler are used.
        seed: of the weights and of all randomness.
        settings: what only this sampler has.

    Raises:
        ConfigError: the config asks for what this sampler cannot do.
    """

    def __init__(self, config: CampaignConfig, *, seed: int, settings: PPOSettings | None = None) -> None:
        if (found := unsupported_by_ppo(config)) is not None:
            raise ConfigError(f"{'.'.join(found[0])}: {found[1]}")
        training = training_settings(config)
        self._config, self._seed, self._settings = config, seed, settings or PPOSettings()
        self._training, self._environment = training, build_environment(config)
        self._device = find_device(training.device)
        self._networks = ActorCritic(config, self._environment, derive_seed(seed, "weights"))
        prior = read_prior(config.sampler.prior)
        if prior is not None:
            load_prior(self._environment, self._networks.policy, prior)
        self._optimizer: dict[str, Any] | None = None
        self._replay = Replay(training.replay_capacity)
        self._facts: dict[str, Any] = {}
        self._algorithm: PPO | None = None
        self._has_started = False

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
        content = torch.load(io.BytesIO(state), weights_only=True, map_location="cpu")
        if content.get("kind") != "ppo":
            raise ValueError("it is of another kind of sampler")
        self._networks.load_state_dict(content["networks"])
        self._optimizer = content["optimizer"]
        self._replay.load_state_dict(content["replay"])

    def train(self, number: int, log_reward: LogReward, measured: Sequence[str]) -> Iterator[TrainingStep]:
        """As in the base class. It is on-policy: what was measured is only known to the reward, not learned from."""
        self._replay.rescore(log_reward)
        reward = EpisodeReward(log_reward, self._settings.paid, self._settings.floor)
        algorithm = self._begin(reward)
        runner = algorithm.env_runner
        refused = runner.env.unwrapped.n_refused
        steps: list[dict[str, float]] = []
        for step in range(self._training.steps):
            with _seeded(derive_seed(self._seed, number, "ppo", step)), _quiet():
                told = algorithm.train()
            names, states, paid = runner.finished
            self._replay.add(names, states, reward.log_of(paid))
            learner = told["learners"][DEFAULT_MODULE_ID]
            steps.append(
                {
                    "loss": float(learner["total_loss"]),
                    "entropy": float(learner["entropy"]),
                    "paid": float(paid.mean()),
                }
            )
            yield TrainingStep(step, steps[-1]["loss"])
        self._keep(algorithm)
        self._facts = {f"{name}_{at}": steps[i][name] for name in steps[0] for at, i in (("first", 0), ("last", -1))}
        self._facts |= {"reward_calls": reward.n_calls, "refused": runner.env.unwrapped.n_refused - refused}

    def facts(self) -> dict[str, Any]:
        return self._facts

    def draw(self, n: int, *, seed: int) -> list[str]:
        names: list[str] = []
        while len(names) < n:
            generator = torch.Generator(self._device).manual_seed(derive_seed(seed, len(names)))
            policy = self._networks.policy.to(self._device)
            drawn = rollout(self._environment, policy, min(_PART, n - len(names)), generator=generator)
            names += self._environment.decode(drawn.terminal.cpu())
        self._networks.cpu()
        return names

    def met(self) -> list[str]:
        return self._replay.objects

    def close(self) -> None:
        if self._algorithm is not None:
            with _quiet():
                self._algorithm.stop()
            shutil.rmtree(self._algorithm.logdir, ignore_errors=True)  # in ~/ray_results, and empty
            self._algorithm = None
        if self._has_started:
            ray.shutdown()
            self._has_started = False

    def _begin(self, reward: EpisodeReward) -> PPO:
        """RLlib's algorithm with the weights and the optimiser as they are here, on a new reward."""
        if self._algorithm is None:
            if not ray.is_initialized():
                from al_loop.actors.cluster.connect import connect

                connect("local", num_cpus=1, logging_level=logging.ERROR)
                self._has_started = True
            with _seeded(self._seed), _quiet():
                self._algorithm = self._build()
        algorithm = self._algorithm
        runner, learner = algorithm.env_runner, algorithm.learner_group._learner
        for module in (runner.module, learner.module[DEFAULT_MODULE_ID].unwrapped()):
            module.networks.load_state_dict(self._networks.state_dict())
        optimizer = learner.get_optimizer(DEFAULT_MODULE_ID)
        if self._optimizer is None:
            self._optimizer = copy.deepcopy(optimizer.state_dict())
        optimizer.load_state_dict(copy.deepcopy(self._optimizer))
        runner.env.unwrapped.reward, runner.scale = reward, None
        return algorithm

    def _keep(self, algorithm: PPO) -> None:
        """Takes over what was learned."""
        learner = algorithm.learner_group._learner
        trained = learner.module[DEFAULT_MODULE_ID].unwrapped().networks.state_dict()
        self._networks.load_state_dict({name: tensor.cpu() for name, tensor in trained.items()})
        self._optimizer = copy.deepcopy(learner.get_optimizer(DEFAULT_MODULE_ID).state_dict())

    def _build(self) -> PPO:
        training, settings = self._training, self._settings
        networks = partial(ActorCritic, self._config, self._environment, derive_seed(self._seed, "weights"))
        on_gpu = self._device.type == "cuda"
        config = (
            PPOConfig(algo_class=_PPO)
            .environment(_Objects, env_config={"environment": self._environment})
            .env_runners(
                env_runner_cls=_Runner,
                num_env_runners=0,
                num_envs_per_env_runner=training.batch_size * training.updates,
                gym_env_vectorize_mode="vector_entry_point",
                batch_mode="complete_episodes",
                create_env_on_local_worker=True,
            )
            .learners(num_learners=0, num_gpus_per_learner=1 if on_gpu else 0)
            .rl_module(rl_module_spec=RLModuleSpec(module_class=_Module, model_config={"networks": networks}))
            .training(
                learner_class=_Learner,
                gamma=1.0,
                lambda_=settings.gae_lambda,
                lr=training.lr,
                train_batch_size_per_learner=settings.minibatch_size,  # not used, but compared with the next
                minibatch_size=settings.minibatch_size,
                num_epochs=settings.epochs,
                shuffle_batch_per_epoch=True,
                clip_param=settings.clip,
                vf_clip_param=float("inf"),
                vf_loss_coeff=settings.value_weight,
                entropy_coeff=settings.entropy,
                use_kl_loss=False,
                grad_clip=training.clip_norm,
                grad_clip_by="global_norm",
            )
            .reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=0)
            .debugging(log_level="ERROR")
        )
        return config.build_algo()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """All global generators, which RLlib draws from, at a seed; afterwards they are as before."""
    kept = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what RLlib and gymnasium have to say of their own future; errors, and warnings of rewards, are told."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
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
