import math

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from al_loop.surrogates.feasibility import Expense, Feasibility, FeasibilityModel, _laplace
from al_loop.surrogates.kernels import Tanimoto, prepare


def rows(n, seed=0, d=40):
    X = np.random.default_rng(seed).poisson(0.4, (n, d)).astype(float)
    X[:, 0] += 1
    return torch.from_numpy(X)


class Fixed(SklearnKernel):
    """The Tanimoto kernel with a fixed signal variance, for scikit-learn."""

    def __init__(self, signal=4.0):
        self.signal = signal

    def __call__(self, X, Y=None, eval_gradient=False):
        Y = X if Y is None else Y
        K = self.signal * Tanimoto()(torch.from_numpy(X), torch.from_numpy(Y)).numpy()
        return (K, np.empty((len(X), len(X), 0))) if eval_gradient else K

    def diag(self, X):
        return np.full(len(X), self.signal)

    def is_stationary(self):
        return False


def test_the_posterior_is_scikit_learns():
    X, asked = rows(60), rows(30, seed=1)
    y = X[:, 1] + X[:, 2] > 0
    model = GaussianProcessClassifier(Fixed(4.0), optimizer=None).fit(X.numpy(), y.numpy())
    kernel, prepared = Tanimoto(), prepare(X)
    posterior = _laplace(4.0 * kernel.cross(prepared, prepared), y.double(), 0.0)
    ours = FeasibilityModel(0.0, kernel, 4.0, prepared, posterior).log_probability(asked).exp()
    # scikit-learn approximates the last integral
    assert ours.numpy() == pytest.approx(model.predict_proba(asked.numpy())[:, 1], abs=2e-3)
    assert posterior.log_evidence == pytest.approx(model.log_marginal_likelihood_value_, abs=1e-4)


def test_of_one_measurement_the_mode_solves_its_equation():
    posterior = _laplace(torch.tensor([[2.0]], dtype=torch.float64), torch.ones(1, dtype=torch.float64), 0.5)
    f = 2.0 * float(posterior.gradient[0])
    assert f == pytest.approx(2.0 * (1 - 1 / (1 + math.exp(-(f + 0.5)))), abs=1e-6)


@pytest.mark.parametrize("n", [1, 7, 100])
def test_without_a_failure_everything_is_about_as_likely_to_answer(n):
    model = Feasibility().fit(rows(n), torch.ones(n, dtype=torch.bool))
    assert model.log_probability(rows(5, seed=1)).exp().tolist() == pytest.approx([(n + 1) / (n + 2)] * 5)
    none = Feasibility().fit(rows(n), torch.zeros(n, dtype=torch.bool))
    assert none.log_probability(rows(5, seed=1)).exp().tolist() == pytest.approx([1 / (n + 2)] * 5)


def truth(X):
    """Failures where two of the features come together often."""
    return torch.sigmoid(2.5 - 2.0 * X[:, 1] - 2.0 * X[:, 2] + X[:, 3])


@pytest.mark.parametrize("n", [200, 3000])
def test_probabilities_are_calibrated_and_better_than_the_base_rate(n):
    X, asked = rows(n, d=12), rows(2000, seed=1, d=12)
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(n, generator=generator) < truth(X)
    model = Feasibility().fit(X, y)
    p, real = model.log_probability(asked).exp(), truth(asked)
    base = y.double().mean()
    skill = 1 - (p - real).square().mean() / (base - real).square().mean()
    assert float(skill) > (0.2 if n == 200 else 0.6)
    for low, high in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0)):
        group = (p > low) & (p <= high)
        if int(group.sum()) > 50:
            assert float((p[group].mean() - real[group].mean()).abs()) < 0.12


def test_far_from_all_data_it_is_about_the_base_rate():
    X = rows(100)
    y = torch.arange(100) % 5 > 0
    strange = torch.zeros(1, 40, dtype=torch.float64)
    strange[0, 39] = 50
    X[:, 39] = 0
    assert float(Feasibility().fit(X, y).log_probability(strange).exp()) == pytest.approx(0.75, abs=0.1)


def test_a_cost_that_depends_on_the_object_is_foretold():
    X, asked = rows(80), rows(40, seed=1)

    def cost(X):
        return (1.0 + 0.5 * X[:, 1:8].sum(1)) * 20.0

    model = Expense().fit(X, cost(X))
    expected = model.relative(asked) * math.exp(model.usual)
    assert np.corrcoef(expected.log(), cost(asked).log())[0, 1] > 0.7
    assert float(expected.mean() / cost(asked).mean()) == pytest.approx(1, abs=0.15)


def test_costs_that_hardly_differ_or_are_few_tell_nothing():
    assert Expense().fit(rows(30), torch.full((30,), 2.0)).relative(rows(4)).tolist() == [1.0] * 4
    assert Expense().fit(rows(3), torch.tensor([1.0, 9.0, 2.0])).relative(rows(4)).tolist() == [1.0] * 4
