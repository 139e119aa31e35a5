import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from al_loop.modelling.ep_classifier import mean_sigmoid, offset_of, posterior
from al_loop.surrogates.kernels.elementary import Tanimoto


def rows(n, seed=0):
    X = np.random.default_rng(seed).poisson(0.4, (n, 40)).astype(float)
    X[:, 0] += 1
    return torch.from_numpy(X)


def predicted(fitted, k, signal, offset):
    """Mean and standard deviation of f, and P(y = 1), at rows with the prior covariance k (m x n) with the data."""
    mean = k @ fitted.weights
    v = torch.linalg.solve_triangular(fitted.L, (k * fitted.root).T, upper=False)
    std = (signal - v.square().sum(0)).sqrt()
    return mean, std, mean_sigmoid(mean + offset, std)


@pytest.mark.parametrize("std", [0.1, 1.0, 6.0])
@pytest.mark.parametrize("mean", [-4.0, 0.0, 9.0])
def test_the_mean_sigmoid_is_its_integral(mean, std):
    expected = quad(lambda f: expit(f) * norm.pdf(f, mean, std), mean - 12 * std, mean + 12 * std, limit=200)[0]
    found = mean_sigmoid(torch.tensor([mean], dtype=torch.float64), torch.tensor([std], dtype=torch.float64))
    assert float(found) == pytest.approx(expected, abs=2e-3 if std > 4 else 1e-4)


@pytest.mark.parametrize("signal", [0.25, 4.0, 36.0])
@pytest.mark.parametrize("rate", [0.02, 0.5, 0.97])
def test_with_the_offset_the_mean_probability_is_the_rate(rate, signal):
    b, std = offset_of(rate, signal), signal**0.5
    assert quad(lambda f: expit(b + f) * norm.pdf(f, 0, std), -12 * std, 12 * std, limit=200)[0] == pytest.approx(
        rate, abs=2e-3
    )


@pytest.mark.parametrize("signal", [1.0, 16.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_of_one_measurement_moments_and_evidence_are_exact(signal, y):
    offset, sign = 1.5, 2 * y - 1
    K = torch.full((1, 1), signal, dtype=torch.float64)
    fitted = posterior(K, torch.full((1,), y, dtype=torch.float64), offset)
    mean, std, _ = predicted(fitted, K, signal, offset)

    def moment(power):
        wide = 12 * signal**0.5
        return quad(lambda f: f**power * expit(sign * (f + offset)) * norm.pdf(f, 0, signal**0.5), -wide, wide)[0]

    assert fitted.log_evidence == pytest.approx(np.log(moment(0)), abs=1e-3)
    assert float(mean) == pytest.approx(moment(1) / moment(0), abs=2e-3)
    assert float(std) ** 2 == pytest.approx(moment(2) / moment(0) - (moment(1) / moment(0)) ** 2, abs=2e-2)


def sampled(K, y, k, signal, offset, n=400_000):
    """P(y = 1) and the log evidence by importance sampling from the prior: exact as n grows, for few data."""
    generator = torch.Generator().manual_seed(0)
    C = torch.linalg.cholesky(K + 1e-8 * torch.eye(len(K), dtype=K.dtype))
    f = torch.randn(n, len(K), generator=generator, dtype=torch.float64) @ C.T
    log_w = torch.nn.functional.logsigmoid((2 * y - 1) * (f + offset)).sum(1)
    A = torch.cholesky_solve(k.T, C)
    std = (signal - (A * k.T).sum(0)).clamp_min(1e-12).sqrt()
    w = log_w.softmax(0)
    p = [w @ mean_sigmoid(f @ A[:, i] + offset, std[i].expand(n)) for i in range(len(k))]
    return torch.stack(p), float(log_w.logsumexp(0)) - np.log(n)


@pytest.mark.parametrize("signal", [4.0, 36.0])
def test_with_rare_failures_it_is_the_exact_posterior_where_laplace_is_not(signal):
    X, asked = rows(14), rows(6, seed=1)
    y = torch.ones(14, dtype=torch.float64)
    y[:2] = 0
    kernel, offset = Tanimoto(), offset_of(0.85, signal)
    K, k = signal * kernel(X, X), signal * kernel(asked, X)
    fitted = posterior(K, y, offset)
    exact, evidence = sampled(K, y, k, signal, offset)
    ours = predicted(fitted, k, signal, offset)[2]
    assert ours.numpy() == pytest.approx(exact.numpy(), abs=0.02)
    assert fitted.log_evidence == pytest.approx(evidence, abs=0.1)


class Fixed(SklearnKernel):
    """The Tanimoto kernel with a fixed signal variance, for scikit-learn."""

    def __init__(self, signal=1.0):
        self.signal = signal

    def __call__(self, X, Y=None, eval_gradient=False):
        Y = X if Y is None else Y
        K = self.signal * Tanimoto()(torch.from_numpy(X), torch.from_numpy(Y)).numpy()
        return (K, np.empty((len(X), len(X), 0))) if eval_gradient else K

    def diag(self, X):
        return np.full(len(X), self.signal)

    def is_stationary(self):
        return False


def test_where_laplaces_method_is_good_it_is_scikit_learns():
    X, asked = rows(60), rows(30, seed=1)
    y = X[:, 1] + X[:, 2] > 0
    model = GaussianProcessClassifier(Fixed(0.5), optimizer=None).fit(X.numpy(), y.numpy())
    kernel = Tanimoto()
    fitted = posterior(0.5 * kernel(X, X), y.double(), 0.0)
    ours = predicted(fitted, 0.5 * kernel(asked, X), 0.5, 0.0)[2]
    assert ours.numpy() == pytest.approx(model.predict_proba(asked.numpy())[:, 1], abs=0.01)
    assert fitted.log_evidence == pytest.approx(model.log_marginal_likelihood_value_, abs=0.2)
