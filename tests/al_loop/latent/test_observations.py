"""Observations as conditions: the contract of environments, starts of the data alone, and dreams."""

import torch

from al_loop.environments.testing import EnvironmentContract
from al_loop.gflownet.policies import make_policy
from al_loop.latent import DiscreteVAE, Mixture
from al_loop.latent.observations import Observations

MODEL = Mixture(groups=2, petals=3)
X = MODEL.read([[0.0, 1.0], [1.0, 0.0], [3.0, 3.0]])


class TestObservations(EnvironmentContract):
    invalid = ("00", "000102")
    is_small = True

    def make(self):
        return Observations(MODEL, X, n_dreams=2)


def test_training_starts_from_the_data_and_never_from_dreams():
    observations = Observations(MODEL, X, n_dreams=5)
    starts = observations.sample_starts(500, 2, torch.Generator().manual_seed(0))
    assert set(starts[:, 0].tolist()) == {0, 1, 2}
    assert torch.equal(starts[::2, 0], starts[1::2, 0])


def test_a_dream_becomes_an_observation():
    observations = Observations(MODEL, X, n_dreams=2)
    x, z = MODEL.sample(2, torch.Generator().manual_seed(0))
    states = observations.dream(x, z)
    seen, latents = observations.observed(states)
    assert torch.equal(seen, x)
    assert torch.equal(latents, z)
    assert torch.equal(observations.features(states)[:, -2:], x.float())
    assert bool(observations.is_terminal(states).all())


def test_every_network_sees_dreams():
    model = DiscreteVAE(2, 2, 2, 3, 4, sampler="masked_autoregressive")
    images = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
    observations = Observations(model, images, n_dreams=1)
    policy = make_policy(observations, 8, 1)
    _, z = model.sample(1, torch.Generator().manual_seed(0))
    dream = observations.dream(images[1:], z)
    start = observations.start(torch.cat([torch.tensor([0, 1]), dream[:, 0]]))
    logits = policy.forward_logits(start)
    assert torch.equal(logits[1], logits[2])
    assert not torch.equal(logits[0], logits[2])


def test_codes_outside_the_model_are_not_allowed():
    observations = Observations(MODEL, X)
    first = observations.start(torch.tensor([0]))
    assert observations.forward_mask(first).tolist() == [[True, True, False]]
    second = observations.step(first, torch.tensor([1]))
    assert observations.forward_mask(second).tolist() == [[True, True, True]]
