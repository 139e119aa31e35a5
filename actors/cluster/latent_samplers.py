"""Samplers of a latent-variable model's posterior as Ray actors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import ray
import torch

from al_loop.actors.cluster.connect import connect
from al_loop.actors.cluster.roles import RoleActor
from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor
from al_loop.config.resources import Resources
from al_loop.gflownet.pipeline import SamplerGroup
from al_loop.gflownet.policies import make_policy
from al_loop.gflownet.sampler import Sampler
from al_loop.latent.config import LatentConfig
from al_loop.latent.observations import Observations


@dataclass(frozen=True)
class PosteriorSampling:
    """The settings of actors that draw latents; weights and the model's parameters are sent later.

    Args:
        name: The name of the fit, in Ray's logs.
        resources: The resources of the actors, and the threads of each.
        observations: The environment of the latents.
        config: The settings of the fit.
    """

    name: str
    resources: Resources
    observations: Observations
    config: LatentConfig


class PosteriorSamplerActor(SamplerActor):
    """A sampler of latents in an actor of its own.

    Args:
        sampling: What to draw.
        path: The driver's import path.
    """

    def __init__(self, sampling: PosteriorSampling, path: list[str]) -> None:
        RoleActor.__init__(self, cast(Any, sampling), path)  # of the config it uses the name
        torch.set_num_threads(sampling.resources.threads)
        em = sampling.config.em
        policy = make_policy(sampling.observations, em.hidden, em.layers)
        self._sampler = Sampler(sampling.observations, policy, backward=em.backward)
        self._loaded: dict[str, Any] = {}


@contextmanager
def posterior_samplers(address: str) -> Iterator[Callable[[LatentConfig, Observations], SamplerGroup]]:
    """Yield a function that starts the samplers of a fit on a Ray cluster.

    Args:
        address: ``auto``, or the address of a cluster.
    """
    connect(address)
    try:
        yield lambda config, observations: RaySamplers(
            cast(Any, PosteriorSampling(config.name, config.resources, observations, config)),
            cast(Any, PosteriorSamplerActor),
        )
    finally:
        ray.shutdown()
