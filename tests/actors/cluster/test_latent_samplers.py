"""Samplers of a posterior as Ray actors: the fit is that of one process, bit for bit."""

from __future__ import annotations

import pytest
import torch

from al_loop.latent.config import LatentConfig
from al_loop.latent.em import Alternation
from al_loop.latent.files import build_model
from al_loop.latent.observations import Observations


@pytest.mark.slow
@pytest.mark.parametrize(
    "latent",
    [{"kind": "mixture", "groups": 2, "petals": 3}, {"kind": "motifs", "alphabet": "AB", "length": 4, "width": 2}],
)
def test_a_fit_with_sampler_actors_is_that_of_one_process(ray_cluster: None, latent: dict[str, object]) -> None:
    from al_loop.actors.cluster.latent_samplers import PosteriorSamplerActor, PosteriorSampling
    from al_loop.actors.cluster.samplers import RaySamplers

    em = {"e_steps": 4, "batch_size": 8, "hidden": 4, "layers": 1, "staleness": 1}
    resources = {"sampler": {"count": 2, "num_cpus": 0.5}}
    config = LatentConfig.model_validate({"latent": latent, "em": em, "resources": resources})
    data = [[0.5, 1.0], [-1.0, 0.2]] if latent["kind"] == "mixture" else ["ABAB", "AB"]

    def fitted(is_on_ray: bool) -> Alternation:
        model = build_model(config.latent)
        x = model.read(data)
        model.initialise(x, torch.Generator().manual_seed(0))
        if not is_on_ray:
            return Alternation(model, x, config.em)
        sampling = PosteriorSampling("fit", config.resources, Observations(model, x), config)
        return Alternation(model, x, config.em, samplers=RaySamplers(sampling, PosteriorSamplerActor))

    here, there = fitted(False), fitted(True)
    try:
        for _ in range(2):
            assert here.round() == there.round()
    finally:
        there._samplers.close()
    for name, value in here.model.state_dict().items():
        assert torch.equal(value, there.model.state_dict()[name])
