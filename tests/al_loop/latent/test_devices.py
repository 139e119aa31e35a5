"""Models compute where their data are: on the device "meta", a tensor that stays on the CPU is an error."""

import pytest
import torch

from al_loop.latent import HMM, DiscreteVAE, Grammar, Mixture, Motifs
from al_loop.latent.observations import Observations

MODELS = {
    "mixture": (lambda: Mixture(2, 3), [[0.0, 1.0]]),
    "hmm": (lambda: HMM("AB", 3, 2), ["AB"]),
    "grammar": (lambda: Grammar("ab", 4, 2, 2, "sibling"), ["aba"]),
    "motifs": (lambda: Motifs("AB", 5, 2, 2), ["ABAB"]),
    "discrete_vae": (lambda: DiscreteVAE(2, 2, 1, 2, 4), [[0, 1, 1, 0]]),
}


@pytest.mark.parametrize("kind", list(MODELS))
def test_the_log_joint_and_the_masks_stay_on_one_device(kind):
    make, data = MODELS[kind]
    model = make()
    x = model.read(data)
    z = model.starts(x)
    model, x, z = model.to("meta"), x.to("meta"), z.to("meta")
    assert model.log_joint(x, z).device.type == "meta"
    assert model.inputs(x).device.type == "meta"
    allowed = model.allowed(x, z)
    assert allowed is None or allowed.device.type == "meta"


@pytest.mark.parametrize("kind", ["hmm", "grammar"])
def test_exact_inference_stays_on_one_device(kind):
    make, data = MODELS[kind]
    model = make()
    x = model.read(data).to("meta")
    assert model.to("meta").log_evidence(x).device.type == "meta"


def test_dreams_move_to_the_device_of_the_data():
    model = Mixture()
    observations = Observations(model, model.read([[0.0, 1.0]]), n_dreams=2)
    states = observations.dream(*model.sample(2, torch.Generator().manual_seed(0)))
    assert states.device == observations.x.device
