"""Samplers of `al-loop tune-language` as Ray actors, each of which loads the language model once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from al_loop.actors.cluster.samplers import RaySamplers, SamplerActor

if TYPE_CHECKING:
    from al_loop.config import CampaignConfig
    from al_loop.environments.tokens import Tokens
    from al_loop.gflownet.pipeline import SamplerGroup
    from al_loop.gflownet.sampler import Sampler
    from al_loop.language.config import LanguageConfig
    from al_loop.language.settings import TuneSettings


class LanguageSamplerActor(SamplerActor):
    """A sampler of continuations; adapters and the reward's temperature are sent to it, the model is not."""

    def make(self, config: Any) -> Sampler:
        import torch

        from al_loop.language.task import make_sampler

        has_gpu = bool(config.resources.sampler.num_gpus) and torch.cuda.is_available()
        return make_sampler(config, "cuda" if has_gpu else "cpu")


def language_samplers(config: LanguageConfig) -> Callable[[Tokens, TuneSettings], SamplerGroup]:
    """Return the function that starts the samplers of a tuning, in the cluster to which this process is connected.

    Args:
        config: The config, whose ``resources.sampler`` says how many, and with what resources.
    """

    def start(environment: Tokens, settings: TuneSettings) -> SamplerGroup:
        # of a campaign's config, samplers use the name and the resources, which this one has, too
        return RaySamplers(cast("CampaignConfig", config), LanguageSamplerActor)

    return start
