"""The training of a config's sampler in this process: a GFlowNet's, or that of the PPO baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from al_loop.campaign.executor import SamplerTraining
from al_loop.config import CampaignConfig

if TYPE_CHECKING:
    from al_loop.gflownet.pipeline import SamplerGroup
    from al_loop.gflownet.replicas import Replicas


def make_training(
    config: CampaignConfig,
    make_samplers: Callable[[], SamplerGroup],
    make_replicas: Callable[[int], Replicas],
    device: str | None = None,
) -> SamplerTraining:
    """Return the training of a config's sampler, in this process.

    Args:
        config: The campaign's configuration.
        make_samplers: Makes the samplers that draw for the learner; not called for ``sampler.kind: ppo``, which draws
            by itself.
        make_replicas: Makes the processes that share the learner's batches, by their number; not called for one.
        device: The device of the learner; None: ``sampler.device``.
    """
    if config.sampler.kind == "ppo":
        from al_loop.actors.ppo.training import PPOTraining

        return PPOTraining(config, seed=config.seed)
    from al_loop.campaign.sampler_training import GFlowNetTraining

    n_replicas = config.resources.learner.replicas
    return GFlowNetTraining(config, make_samplers(), device, make_replicas(n_replicas) if n_replicas > 1 else None)
