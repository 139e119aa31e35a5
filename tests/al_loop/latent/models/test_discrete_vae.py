"""Discrete autoencoders: exact likelihoods, and GFlowNet-EM that raises them by gradient steps."""

import numpy as np
import pytest
import torch

from al_loop.latent import EM, DiscreteVAE, fit


def images(n=60):
    rng = np.random.default_rng(0)
    x = np.zeros((n, 3, 3))
    x[np.arange(n), rng.integers(3, size=n)] = 1  # a row is lit
    return x


def test_the_exact_likelihood_decodes_each_code_once():
    model = DiscreteVAE(3, 3, 2, 2, 8)
    x = model.read(images(5))
    codes = model.codes
    pairs = x.repeat_interleave(len(codes), 0), codes.repeat(len(x), 1)
    assert torch.allclose(model.log_joints(x), model.log_joint(*pairs).view(5, -1), atol=1e-5)


def test_all_images_have_total_probability_one():
    model = DiscreteVAE(2, 2, 1, 3, 4)
    everything = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
    assert float(model.log_likelihood(everything).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_dreams_have_the_probabilities_of_the_model():
    model = DiscreteVAE(2, 1, 1, 2, 4)
    x, z = model.sample(4000, torch.Generator().manual_seed(0))
    both = (x == 1).all(1).double().mean()
    assert float(both) == pytest.approx(float(model.log_likelihood(torch.ones(1, 2)).exp()), abs=0.03)
    assert z.shape == (4000, 1)


@pytest.mark.parametrize("sampler", ["mlp", "masked_autoregressive"])
def test_gradient_steps_raise_the_likelihood(sampler):
    model = DiscreteVAE(3, 3, 2, 2, 16, sampler)
    em = EM(
        rounds=12, e_steps=8, m_steps=8, lr_model=2e-2, lr=5e-3, batch_size=32, hidden=32, layers=1, report_every=12
    )
    x = model.read(images())
    model.initialise(x, torch.Generator().manual_seed(1))  # from others, the codes are ignored, a local maximum
    before = float(model.log_likelihood(x).mean())
    result = fit(model, images(), em, initialise=False, seed=1)
    report = result.rounds[-1].report
    assert report.log_likelihood > before + 1
    assert report.is_kl_exact
    assert type(result.posterior.model)(**model.arguments).latents().default_policy == sampler


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 8)), "images of 3 x 3 pixels, got the shape"),
        (np.full((2, 3, 3), 0.5), "image 1 has pixels other than 0 and 1"),
        (np.zeros((0, 9)), "got the shape"),
    ],
)
def test_other_images_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        DiscreteVAE(3, 3).read(data)


def test_a_decoder_has_no_closed_step():
    model = DiscreteVAE(3, 3)
    with pytest.raises(ValueError, match="gradient of log_evidence"):
        model.exact_step(model.read(images(2)))


def test_an_unknown_sampler_is_refused():
    with pytest.raises(ValueError, match="sampler: 'cnn' is not one of mlp, masked_autoregressive"):
        DiscreteVAE(sampler="cnn")
