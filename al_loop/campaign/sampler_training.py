"""Training of a campaign's GFlowNet sampler: the learner, and the samplers that draw for it."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from al_loop.campaign.building import build_environment, build_policy, training_settings
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.campaign.sampler_quality import sampler_quality
from al_loop.config import CampaignConfig
from al_loop.environments.base import Environment
from al_loop.errors import CampaignError
from al_loop.gflownet.device import find_device
from al_loop.gflownet.execution.choice import choose_execution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.parallel_scoring import ParallelScorer, Workers
from al_loop.gflownet.pipeline import PipelineStats, SamplerGroup, pipeline
from al_loop.gflownet.priors import read_prior
from al_loop.gflownet.replicas import Replicas
from al_loop.gflownet.reward import Diverged, LogReward
from al_loop.gflownet.sampler import DrawRequest, Sampler
from al_loop.gflownet.saved_state import read_state
from al_loop.gflownet.worker_processes import WorkerProcesses
from al_loop.language.likelihood_reward import with_likelihood
from al_loop.modelling.graph_reward import without_decoding
from al_loop.seeding import derive_seed
from al_loop.system.gpu import GpuWatch

_DRAW_SIZE = 512  # candidates drawn by one sampler at a time
_VALIDITY_DRAW = 64  # objects of which the share of invalid ones is reported


def make_sampler(
    config: CampaignConfig,
    device: str | None = None,
    start_workers: Callable[[Environment, int], Workers] = WorkerProcesses,
    n_cores: int | None = None,
) -> Sampler:
    """Return a sampler with a policy of its own, whose weights are set later.

    Args:
        config: the campaign's config.
        device: where the policy runs; left out: the config's device.
        start_workers: starts so many workers that decode objects of an environment.
        n_cores: cores for ``resources.decoders: auto``; left out: those of this machine but one.
    """
    environment, training = build_environment(config), training_settings(config)
    own_device = find_device(device or training.device)
    policy = build_policy(config, environment, training).to(own_device)
    name = "auto" if training.execution == "graphed" and own_device.type != "cuda" else training.execution
    execution = choose_execution(name, own_device, training.steps)
    n_workers = config.resources.decoders
    if n_workers == "auto":
        n_workers = len(os.sched_getaffinity(0)) - 1 if n_cores is None else n_cores
    scorer = ParallelScorer(environment, start_workers(environment, n_workers)) if n_workers else None
    arguments = (training.conditioning, training.backward, training.dtype, scorer, execution, training.uses_tf32)
    return Sampler(environment, policy, *arguments)


class GFlowNetTraining(SamplerTraining):
    """Sampler training with the learner in this process.

    Args:
        config: the campaign's config.
        samplers: draw for the learner, and draw the candidates.
        device: where the learner runs; left out: the config's device.
        replicas: other processes that share the learner's batches; None: there are none.
    """

    def __init__(
        self,
        config: CampaignConfig,
        samplers: SamplerGroup,
        device: str | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self._config, self._samplers = config, samplers
        self._environment = environment = build_environment(config)
        training = training_settings(config, device)
        seed = derive_seed(config.seed, "weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = build_policy(config, environment, training)
        self._learner = Learner(environment, training, seed, policy, read_prior(config.sampler.prior), replicas)
        samplers.set_weights(self._learner.weights())
        self._info: dict[str, Any] = {}

    def state(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(self._learner.state_dict(), buffer)
        return buffer.getvalue()

    def load(self, state: bytes) -> None:
        self._learner.load_state_dict(read_state(state, self._learner.device, ("policy", "log_z", "optimizer")))
        self._samplers.set_weights(self._learner.weights())

    def train(
        self, number: int, log_reward: LogReward, measured: Sequence[str], seeds: Sequence[str] = ()
    ) -> Iterator[TrainingStep]:
        learner, seed = self._learner, self._config.seed
        decode, training = self._config.reward.decode, learner.training
        reward = without_decoding(
            log_reward, self._environment, decode, learner.device, training.execution, training.steps
        )
        temperature = None if self._config.reward.prior is None else self._config.reward.prior.temperature
        reward = with_likelihood(reward, self._environment, temperature, learner.objective.uses_reference)
        self._samplers.set_reward(reward)
        learner.start(reward)
        learner.remember(measured, reward)
        learner.start_from(seeds, reward)
        stats, losses = PipelineStats(), []
        with GpuWatch(learner.device) as gpu:
            try:
                for loss in pipeline(
                    learner,
                    self._samplers,
                    seed=lambda purpose, step: derive_seed(seed, number, purpose, step),
                    stats=stats,
                ):
                    losses.append(loss)
                    yield TrainingStep(len(losses) - 1, loss)
            except Diverged as error:
                raise CampaignError(
                    f"sampler.lr: the training runs away at step {len(losses)} ({error}) with sampler.lr="
                    f"{training.lr:g} and sampler.lr_log_z={training.lr_log_z:g}; use smaller ones, and start it again"
                ) from None
        seconds = max(stats.seconds, 1e-9)
        self._info = {
            "loss_first": losses[0],
            "loss_last": losses[-1],
            "log_z": float(learner.log_z),
            "trajectories": stats.trajectories,
            "trajectories_per_s": stats.trajectories / seconds,
            "staleness_mean": sum(stats.staleness) / len(stats.staleness),
            "staleness_max": max(stats.staleness),
            "draws_late": stats.late,
            "learner_utilisation": 1 - stats.waited_s / seconds,
            "samplers_lost": stats.lost,
            "moved_mb": {"draws": stats.draw_bytes / 1e6, "weights": stats.weight_bytes / 1e6},
            "gpu_utilisation": gpu.utilisation,
            "gpu_memory_gb": gpu.memory_gb,
        }
        quality = sampler_quality(
            self._environment, learner, self._samplers, reward, measured, derive_seed(seed, number, "quality")
        )
        self._info |= quality
        if self._environment.random_policy:
            self._info["invalid_share"] = self._invalid_share(derive_seed(seed, number, "invalid"))

    def _invalid_share(self, seed: int) -> float:
        """Return the share of invalid objects in a draw of the trained sampler."""
        draw = self._samplers.begin(DrawRequest(_VALIDITY_DRAW, seed, is_scored=False)).result()
        return sum(not self._environment.is_valid(name) for name in draw.objects or []) / _VALIDITY_DRAW

    def info(self) -> dict[str, Any]:
        return self._info

    def draw(self, n: int, *, seed: int) -> list[str]:
        parts = [min(_DRAW_SIZE, n - i * _DRAW_SIZE) for i in range(math.ceil(n / _DRAW_SIZE))]
        requests = [DrawRequest(part, derive_seed(seed, i), is_scored=False) for i, part in enumerate(parts)]
        draws = [self._samplers.begin(request) for request in requests]
        objects = [name for draw in draws for name in draw.result().objects or []]
        return [name for name in objects if self._environment.is_valid(name)]

    def best_seen(self) -> list[str]:
        return [name for name in self._learner.best_objects if self._environment.is_valid(name)]

    def close(self) -> None:
        self._samplers.close()
        self._learner.close()
        self._learner.close()
