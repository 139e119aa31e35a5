"""The deep kernel: its likelihoods against torch's normal distribution, its posterior against a dense solve."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.thompson import Thompson
from al_loop.errors import ConfigError
from al_loop.surrogates._deep_kernel_model import Encoder
from al_loop.surrogates.deep_kernel import DeepKernel, HeldOutScorer, _Data
from al_loop.surrogates.encoders.encoding import Encoding
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.mixture import Mixture
from al_loop.surrogates.testing import SurrogateContract


class TestDeepKernel(SurrogateContract):
    def make(self) -> DeepKernel:
        return DeepKernel(hidden=32, latent=32)

    @pytest.mark.parametrize("kind", ["ucb", "log_ei", "qlogei", "qlognei", "pi", "knowledge_gradient"])
    def test_acquisitions_work_on_it_with_and_without_pending_rows(self, surrogate: DeepKernel, kind: str) -> None:
        super().test_acquisitions_work_on_it_with_and_without_pending_rows(surrogate, kind)


def data(n: int, seed: int = 0, d: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Descriptors of which two matter, strongly and not linearly."""
    rng = np.random.default_rng(seed)
    X = torch.from_numpy(rng.normal(size=(n, d)))
    y = torch.sin(2 * X[:, 0]) + X[:, 1].square() + 0.05 * torch.from_numpy(rng.normal(size=n))
    return X, 5 * y.unsqueeze(-1) - 3


def encoder(d: int = 20) -> Encoder:
    rows = torch.ones(1, d)
    return Encoder(Encoding("mlp", None, False), rows, 16, 2, 8, torch.Generator().manual_seed(0)).requires_grad_(False)


def test_the_loss_is_the_negative_log_density_of_a_batch_and_the_priors():
    X, Y = data(30)
    z, zvar = Y.squeeze(-1) / 5, torch.linspace(0, 0.3, 30).double()
    coder = encoder()
    gp = torch.tensor([0.2, -0.3, -2.0]).double()
    s, r = gp[1].exp(), gp[2].exp()
    e = torch.cat(coder.in_parts(X)).double()
    K = s * torch.exp(-torch.cdist(e, e).square() / (2 * 8)) + torch.diag(s * r + zvar)
    likelihood = MultivariateNormal(torch.full((30,), 0.2).double(), K).log_prob(z) + 15 * np.log(2 * np.pi)
    prior = -0.5 * (gp[1] + 1 / s) - 0.5 * ((gp[2] - np.log(0.1)) / 1.5) ** 2
    found = DeepKernel()._loss(e, z, zvar, gp, 100)
    assert float(found) == pytest.approx(float(-likelihood / 30 - prior / 100), rel=1e-8)


def test_held_out_rows_are_judged_by_their_predictive_density():
    X, Y = data(40)
    z, zvar = Y.squeeze(-1) / 5, torch.linspace(0, 0.3, 40).double()
    coder, shown, held_out = encoder(), torch.arange(30), torch.arange(30, 40)
    judged = HeldOutScorer(Mixture(coder.kernel), _Data(X, z, zvar), shown, held_out)
    s, r = 1.7, 0.2
    mean, density = judged.density(*judged.deep(coder), s, r)
    e = torch.cat(coder.in_parts(X)).double()
    K = s * torch.exp(-torch.cdist(e, e).square() / (2 * 8)) + torch.diag(s * r + zvar)
    inverse = torch.linalg.inv(K[:30, :30])
    assert mean == pytest.approx(float((inverse @ z[:30]).sum() / inverse.sum()), rel=1e-6)
    predicted = mean + K[30:, :30] @ inverse @ (z[:30] - mean)
    variance = K.diagonal()[30:] - (K[30:, :30] @ inverse @ K[:30, 30:]).diagonal()
    expected = Normal(predicted, variance.sqrt()).log_prob(z[30:]).sum()
    assert density == pytest.approx(float(expected), rel=1e-6)


def test_the_posterior_is_that_of_a_gp_on_encoded_rows():
    X, Y = data(60)
    model = DeepKernel(hidden=16, latent=8).fit(X, Y)
    Xs, _ = data(5, seed=1)
    e, es = (torch.cat(model.encoder.in_parts(rows)).double() for rows in (X, Xs))

    def k(a, b):
        return model.signal_variance * torch.exp(-torch.cdist(a, b).square() / (2 * 8))

    inverse = torch.linalg.inv(k(e, e) + model.noise_variance * torch.eye(60))
    y = Y.squeeze(-1)
    constant = (inverse @ y).sum() / inverse.sum()
    assert model.mean == pytest.approx(float(constant), rel=1e-5)
    posterior = model.posterior(Xs)
    assert torch.allclose(posterior.mean.squeeze(-1), constant + k(es, e) @ inverse @ (y - constant), rtol=1e-5)
    covariance = k(es, es) - k(es, e) @ inverse @ k(e, es)
    assert torch.allclose(posterior.distribution.covariance_matrix, covariance, atol=1e-5 * model.signal_variance)


def test_training_finds_the_features_that_matter():
    X, Y = data(600)
    Xs, Ys = data(300, seed=1)

    def error(surrogate):
        return float((surrogate.fit(X, Y).mean_and_variance(Xs)[0] - Ys[:, 0]).square().mean().sqrt())

    trained = error(DeepKernel(hidden=64, latent=64))
    assert trained < 0.9 * error(DeepKernel(hidden=64, latent=64, learning_rate=1e-12))
    assert trained < 0.9 * error(ExactGP(kernel="rbf"))


def test_pure_noise_is_not_learned():
    X, _ = data(300)
    Y = torch.from_numpy(np.random.default_rng(5).normal(size=(300, 1)))
    model = DeepKernel(hidden=64, latent=16).fit(X, Y)
    mean, _ = model.mean_and_variance(data(200, seed=1)[0])
    assert mean.std() < 0.4
    assert 0.8 < model.noise_variance**0.5 < 1.2


def test_of_few_measurements_the_network_stays_random():
    X, Y = data(19)
    surrogate = DeepKernel(hidden=16, latent=8)
    assert surrogate.describe(surrogate.fit(X, Y))["epochs"] == 0


def test_thompson_says_that_it_cannot_draw_from_it():
    X, Y = data(20)
    with pytest.raises(ConfigError, match="thompson"):
        Thompson().build(DeepKernel(hidden=16, latent=8).fit(X, Y), AcquisitionContext(X, 0.0))
