"""The deep ensemble against brute force on its own members, and its calibration against data of known noise."""

import numpy as np
import pytest
import torch
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.sampling.index_sampler import IndexSampler
from botorch.sampling.normal import SobolQMCNormalSampler

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.surrogates._ensemble_model import EnsembleGaussian
from al_loop.surrogates.ensemble import DeepEnsemble, _calibrate, _held_out
from al_loop.surrogates.testing import SurrogateContract


class TestDeepEnsemble(SurrogateContract):
    def make(self) -> DeepEnsemble:
        return DeepEnsemble(n_members=8, hidden=32)


@pytest.fixture(scope="module")
def model():
    X = torch.from_numpy(np.random.default_rng(0).poisson(0.4, (60, 30)).astype(float))
    return DeepEnsemble(n_members=8, hidden=16).fit(X, X[:, :1] - X[:, 1:2])


def rows(n: int, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).poisson(0.4, (n, 30)).astype(float))


def test_a_member_of_all_at_once_is_that_network_alone(model):
    X, networks = rows(5), model.networks
    trunk, width = networks.trunk, networks.trunk.width
    for i in (0, 3, 7):
        h = X.float() @ trunk.first[:, i * width : (i + 1) * width]
        h = torch.nn.functional.silu(h + trunk.bias[i])
        h = torch.nn.functional.silu(h @ trunk.layers[0].weight[i] + trunk.layers[0].bias[i])
        alone = h @ networks.last[i] + networks.constant[i]
        assert torch.allclose(networks.predict(X)[i], alone.squeeze(-1), atol=1e-5)


def test_the_posterior_has_the_mean_and_covariance_of_the_members(model):
    X = rows(4)
    values = model.predictions(X).numpy()
    posterior = model.posterior(X)
    assert np.allclose(posterior.mean.squeeze(-1), values.mean(0))
    assert np.allclose(posterior.distribution.covariance_matrix, np.cov(values.T), rtol=1e-5, atol=1e-7)


def test_normal_samples_have_that_covariance_across_rows(model):
    posterior = model.posterior(rows(3))
    samples = SobolQMCNormalSampler(torch.Size([8192]), seed=1)(posterior).squeeze(-1).numpy()
    expected = posterior.distribution.covariance_matrix.numpy()
    assert np.allclose(np.cov(samples.T), expected, atol=0.05 * expected.max())


def test_index_samples_are_members(model):
    X = rows(3)
    samples = IndexSampler(torch.Size([20]), seed=1)(model.posterior(X)).squeeze(-1)
    members = model.predictions(X).T.T
    assert all(any(torch.allclose(sample, member) for member in members) for sample in samples)


def test_pending_rows_count_as_measured_at_the_mean(model):
    X, X_pending = rows(6), rows(3, seed=2)
    joint = model.posterior(torch.cat([X, X_pending])).distribution.covariance_matrix
    cross, own = joint[:6, 6:], joint[6:, 6:] + model.noise_variance * torch.eye(3)
    expected = joint[:6, :6] - cross @ torch.linalg.solve(own, cross.T)
    believed = model.condition_on_pending(X_pending).posterior(X).distribution.covariance_matrix
    assert torch.allclose(believed, expected, atol=1e-6 * float(expected.max()))


def test_qlogei_with_pending_rows_is_botorchs_own(model):
    X, X_pending = rows(6), rows(2, seed=2)
    best = float(model.predictions(X).mean())
    sampler = SobolQMCNormalSampler(torch.Size([64]), seed=1)
    botorchs = qLogExpectedImprovement(model, best_f=best, sampler=sampler, X_pending=X_pending)(X.unsqueeze(1))
    from al_loop.acquisitions.qlogei import QLogEI

    ours = QLogEI(n_samples=64, seed=1).build(model, AcquisitionContext(X, best, X_pending))(X.unsqueeze(1))
    assert torch.allclose(ours, botorchs, atol=0.05)


def test_the_calibration_finds_the_scale_and_the_noise_of_what_was_simulated():
    rng = np.random.default_rng(0)
    spread, known = rng.gamma(2.0, 0.5, 20_000), rng.uniform(0, 0.2, 20_000)
    residual = rng.normal(size=20_000) * np.sqrt(1.7**2 * spread + 0.3 + known)
    factor, noise = _calibrate(residual, spread, known)
    assert factor == pytest.approx(1.7, rel=0.02)
    assert noise == pytest.approx(0.3, rel=0.1)


def test_without_rows_left_out_the_calibration_is_the_prior():
    assert _calibrate(np.zeros(0), np.zeros(0), np.zeros(0)) == pytest.approx((1.0, 0.1), rel=1e-4)


def test_rows_are_judged_by_the_members_that_have_not_seen_them():
    values = torch.tensor([[1.0, 2.0, 3.0], [3.0, 9.0, 5.0], [8.0, 4.0, 9.0]]).double()
    left_out = torch.tensor([[True, True, False], [True, False, False], [False, True, True]])
    residual, spread, asked = _held_out(values, torch.tensor([0.0, 1.0, 2.0]).double(), left_out)
    assert asked.tolist() == [True, True, False]
    assert residual.tolist() == [-2.0, -2.0]
    assert spread.tolist() == [2.0, 2.0]


def test_intervals_cover_what_they_say():
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.poisson(0.4, (1500, 30)).astype(float))
    truth = X @ torch.from_numpy(rng.normal(size=30))
    y = truth + torch.from_numpy(rng.normal(size=1500))
    model = DeepEnsemble(hidden=32).fit(X[:500], y[:500, None])
    posterior = model.posterior(X[500:].unsqueeze(1), observation_noise=True)
    u = (y[500:] - posterior.mean.flatten()).abs() / posterior.variance.flatten().sqrt()
    for half_width, level in ((0.674, 0.5), (1.282, 0.8), (1.960, 0.95)):
        assert float((u < half_width).double().mean()) == pytest.approx(level, abs=0.06)


def test_seeds_differ():
    X = rows(30)
    Y = X[:, :1]
    one, two = (DeepEnsemble(n_members=4, hidden=8, seed=seed).fit(X, Y) for seed in (0, 1))
    assert not torch.allclose(one.predictions(X), two.predictions(X))


def test_noise_that_is_asked_for_is_in_the_samples():
    values = torch.tensor([[[0.0]], [[0.0]]]).double().reshape(2, 1, 1)
    posterior = EnsembleGaussian(values, torch.tensor(4.0).double())
    samples = SobolQMCNormalSampler(torch.Size([2048]), seed=1)(posterior)
    assert float(samples.std()) == pytest.approx(2.0, rel=0.02)
