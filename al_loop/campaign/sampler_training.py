"""Training of a campaign's GFlowNet sampler: the learner, and the samplers that draw for it."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from al_loop.campaign.building import build_environment, build_policy, training_settings
from al_loop.campaign.executor import SamplerTraining, TrainingStep
from al_loop.config import CampaignConfig
from al_loop.gflownet.device import find_device
from al_loop.gflownet.execution.choice import choose_execution
from al_loop.gflownet.learner import Learner
from al_loop.gflownet.pipeline import PipelineStats, SamplerGroup, pipeline
from al_loop.gflownet.priors import read_prior
from al_loop.gflownet.reward import LogReward
from al_loop.gflownet.sampler import DrawRequest, Sampler
from al_loop.gflownet.saved_state import read_state
from al_loop.modelling.graph_reward import without_decoding
from al_loop.seeding import derive_seed
from al_loop.system.gpu import GpuWatch

_DRAW_SIZE = 512  # candidates drawn by one sampler at a time


def make_sampler(config: CampaignConfig, device: str | None = None) -> Sampler:
    """Return a sampler with a policy of its own, whose weights are set later.

    Args:
        config: the campaign's config.
        device: where the policy runs; left out: the config's device.
    """
    environment, training = build_environment(config), training_settings(config)
    own_device = find_device(device or training.device)
    policy = build_policy(config, environment, training).to(own_device)
    name = "auto" if training.execution == "graphed" and own_device.type != "cuda" else training.execution
    execution = choose_execution(name, own_device, training.steps)
    return Sampler(environment, policy, training.conditioning, training.backward, training.dtype, execution)


class GFlowNetTraining(SamplerTraining):
    """Sampler training with the learner in this process.

    Args:
        config: the campaign's config.
        samplers: draw for the learner, and draw the candidates.
        device: where the learner runs; left out: the config's device.
    """

    def __init__(self, config: CampaignConfig, samplers: SamplerGroup, device: str | None = None) -> None:
        self._config, self._samplers = config, samplers
        self._environment = environment = build_environment(config)
        training = training_settings(config, device)
        seed = derive_seed(config.seed, "weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = build_policy(config, environment, training)
        self._learner = Learner(environment, training, seed, policy, read_prior(config.sampler.prior))
        samplers.set_weights(self._learner.weights())
        self._info: dict[str, Any] = {}

    def state(self) -> bytes:
        buffer = io.BytesIO()
        torch.save(self._learner.state_dict(), buffer)
        return buffer.getvalue()

    def load(self, state: bytes) -> None:
        self._learner.load_state_dict(read_state(state, self._learner.device, ("policy", "log_z", "optimizer")))
        self._samplers.set_weights(self._learner.weights())

    def train(self, number: int, log_reward: LogReward, measured: Sequence[str]) -> Iterator[TrainingStep]:
        learner, seed = self._learner, self._config.seed
        reward = without_decoding(log_reward, self._environment, self._config.reward.decode, learner.device)
        self._samplers.set_reward(reward)
        learner.start(reward)
        learner.remember(measured, reward)
        stats, losses = PipelineStats(), []
        with GpuWatch(learner.device) as gpu:
            for loss in pipeline(
                learner,
                self._samplers,
                seed=lambda purpose, step: derive_seed(seed, number, purpose, step),
                stats=stats,
            ):
                losses.append(loss)
                yield TrainingStep(len(losses) - 1, loss)
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

    def info(self) -> dict[str, Any]:
        return self._info

    def draw(self, n: int, *, seed: int) -> list[str]:
        parts = [min(_DRAW_SIZE, n - i * _DRAW_SIZE) for i in range(math.ceil(n / _DRAW_SIZE))]
        requests = [DrawRequest(part, derive_seed(seed, i), is_scored=False) for i, part in enumerate(parts)]
        draws = [self._samplers.begin(request) for request in requests]
        return [name for draw in draws for name in draw.result().objects or []]

    def best_seen(self) -> list[str]:
        return self._learner.best_objects

    def close(self) -> None:
        self._samplers.close()
