"""The sparse Gaussian process against the exact one, and against Titsias' formulas written here densely."""

import numpy as np
import pytest
import torch

from al_loop.surrogates import _sparse_sums
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Tanimoto
from al_loop.surrogates.testing import SurrogateContract
from al_loop.surrogates.variational import SparseGP, SparseGPModel, greedy_rows


class TestSparseGP(SurrogateContract):
    def make(self) -> SparseGP:
        return SparseGP(kernel="tanimoto", n_inducing=48)


class TestSparseGPOnSequences(SurrogateContract):
    d = 48

    def make(self) -> SparseGP:
        return SparseGP(kernel="hamming", n_inducing=48)

    def rows(self, n: int, seed: int = 0) -> torch.Tensor:
        letters = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (n, 12)))
        return torch.nn.functional.one_hot(letters, 4).flatten(1).double()

    def strange_rows(self, n: int) -> torch.Tensor:
        return self.rows(n, seed=123)


def data(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.4, (n, 40)).astype(float)
    X[:, 0] += 1
    y = X @ np.random.default_rng(99).normal(size=40) + 0.3 * rng.normal(size=n)
    return torch.from_numpy(X), torch.from_numpy(100 + 20 * y).unsqueeze(-1)


def test_with_all_rows_inducing_it_is_the_exact_gp():
    X, Y = data(60)
    Xs, _ = data(7, seed=1)
    exact, sparse = ExactGP("tanimoto").fit(X, Y), SparseGP("tanimoto", n_inducing=60).fit(X, Y)
    assert sparse.log_density == pytest.approx(exact.log_density, abs=1e-4)
    assert sparse.noise_variance == pytest.approx(exact.noise_variance, rel=1e-3)
    ours, theirs = sparse.posterior(Xs), exact.posterior(Xs)
    assert torch.allclose(ours.mean, theirs.mean, rtol=1e-5)
    covariance = theirs.distribution.covariance_matrix
    assert torch.allclose(ours.distribution.covariance_matrix, covariance, atol=1e-4 * float(covariance.max()))


def test_with_all_rows_inducing_known_noise_is_the_exact_gps_too():
    X, Y = data(60)
    Yvar = torch.from_numpy(np.random.default_rng(3).uniform(0, float(Y.var()), (60, 1)))
    Y = Y + Yvar.sqrt() * torch.from_numpy(np.random.default_rng(4).normal(size=(60, 1)))
    Xs, _ = data(7, seed=1)
    exact, sparse = (s.fit(X, Y, Yvar) for s in (ExactGP("tanimoto"), SparseGP("tanimoto", n_inducing=60)))
    assert sparse.log_density == pytest.approx(exact.log_density, abs=1e-2)
    for ours, theirs in zip(sparse.mean_and_variance(Xs), exact.mean_and_variance(Xs), strict=True):
        assert torch.allclose(ours, theirs, rtol=0.02)


def dense(model: SparseGPModel, X: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """T(inducing, inducing), T(inducing, X), and the inverse of T_zz + T_zx T_xz / noise."""
    Z = model.train_inputs[0]
    Tzz, Tzx = Tanimoto()(Z, Z), Tanimoto()(Z, X)
    return Tzz, Tzx, torch.linalg.inv(Tzz + Tzx / noise @ Tzx.T)


@pytest.mark.parametrize("has_known_noise", [False, True])
def test_the_posterior_is_titsias(has_known_noise):
    X, Y = data(150)
    Yvar = torch.linspace(0, float(Y.var()), 150).double().unsqueeze(-1) if has_known_noise else None
    model = SparseGP("tanimoto", n_inducing=30).fit(X, Y, Yvar)
    noise = torch.full((150,), model.noise_variance / model.signal_variance).double()
    if Yvar is not None:
        noise = noise + (Yvar.squeeze(-1) - Yvar.mean()) / model.signal_variance
    Tzz, Tzx, inverse = dense(model, X, noise)
    Xs, _ = data(9, seed=1)
    Tsz = Tanimoto()(Xs, model.train_inputs[0])
    mean = model.mean + Tsz @ inverse @ (Tzx @ ((Y.squeeze(-1) - model.mean) / noise))
    covariance = Tanimoto()(Xs, Xs) - Tsz @ torch.linalg.solve(Tzz, Tsz.T) + Tsz @ inverse @ Tsz.T
    posterior = model.posterior(Xs)
    assert torch.allclose(posterior.mean.squeeze(-1), mean, rtol=1e-6)
    found = posterior.distribution.covariance_matrix / model.signal_variance
    assert torch.allclose(found, covariance, atol=1e-6)


def bound(model: SparseGPModel, X: torch.Tensor, Y: torch.Tensor, s: float, r: float) -> float:
    """Titsias' bound with the priors that the docstring of the exact GP states, on standardised targets, dense."""
    y = Y.squeeze(-1).numpy()
    z, c = (y - y.mean()) / y.std(), (model.mean - y.mean()) / y.std()
    Tzz, Tzx, _ = dense(model, X, torch.ones(len(X)).double())
    Q = (Tzx.T @ torch.linalg.solve(Tzz, Tzx)).numpy()
    K = s * (Q + r * np.eye(len(z)))
    likelihood = -0.5 * ((z - c) @ np.linalg.solve(K, z - c) + np.linalg.slogdet(2 * np.pi * K)[1])
    trace = (len(z) - np.trace(Q)) / (2 * r)
    return float(likelihood - trace - 0.5 * (np.log(s) + 1 / s) - 0.5 * (np.log(r / 0.1) / 1.5) ** 2)


def test_hyperparameters_maximise_titsias_bound():
    X, Y = data(80)
    model = SparseGP("tanimoto", n_inducing=25).fit(X, Y)
    scale = float(Y.var(correction=0))
    s, r = model.signal_variance / scale, model.noise_variance / model.signal_variance
    assert model.log_density == pytest.approx(bound(model, X, Y, s, r), abs=1e-4)
    grid = [
        bound(model, X, Y, s * factor, min(max(r * other, 1e-4), 1e2))
        for factor in np.geomspace(0.1, 10, 15)
        for other in np.geomspace(0.01, 100, 25)
    ]
    assert model.log_density >= max(grid) - 1e-4


def test_more_inducing_rows_come_closer_to_the_exact_density():
    X, Y = data(80)
    exact = ExactGP("tanimoto").fit(X, Y).log_density
    found = [SparseGP("tanimoto", n_inducing=m).fit(X, Y).log_density for m in (10, 40, 70)]
    assert found[0] < found[1] < found[2] < exact + 1e-3


def test_parts_of_the_data_give_the_sums_of_all(monkeypatch: pytest.MonkeyPatch):
    X, Y = data(100)
    whole = SparseGP("tanimoto", n_inducing=20).fit(X, Y)
    monkeypatch.setattr(_sparse_sums, "_CHUNK", 7)
    parts = SparseGP("tanimoto", n_inducing=20).fit(X, Y)
    assert torch.allclose(parts.alpha, whole.alpha, rtol=1e-6)


def test_greedy_rows_have_the_largest_conditional_variance():
    X, _ = data(40)
    T = Tanimoto()(X, X)
    chosen = greedy_rows(T, 12)
    assert len(set(chosen)) == 12
    for j in range(1, 12):
        own, cross = T[chosen[:j]][:, chosen[:j]], T[chosen[:j]]
        conditional = T.diagonal() - (cross * torch.linalg.solve(own, cross)).sum(0)
        assert conditional[chosen[j]] == pytest.approx(float(conditional.max()), abs=1e-9)


def test_a_row_that_is_there_twice_is_chosen_once():
    X, _ = data(10)
    chosen = greedy_rows(Tanimoto()(X.repeat(2, 1), X.repeat(2, 1)), 20, n_first=15)
    assert sorted(i % 10 for i in chosen) == list(range(10))
    assert chosen[:10] == list(range(10))


def test_the_best_measurements_are_among_the_inducing_rows():
    X, Y = data(200)
    model = SparseGP("tanimoto", n_inducing=20).fit(X, Y)
    inducing = {tuple(row) for row in model.train_inputs[0].tolist()}
    assert all(tuple(X[i].tolist()) in inducing for i in Y.flatten().topk(5).indices)


def test_noise_that_is_drawn_has_the_covariance_of_the_model():
    X, Y = data(60)
    model = SparseGP("tanimoto", n_inducing=10).fit(X, Y)
    r = model.noise_variance / model.signal_variance
    Tzz, Tzx, _ = dense(model, X, torch.ones(60).double())
    expected = r * Tzz @ torch.linalg.solve(Tzx @ Tzx.T, Tzz)
    z = torch.randn(10, 100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(torch.cov(model.draw_noise(z)), expected, atol=0.03 * float(expected.max()))


def test_the_fit_predicts_better_than_an_exact_gp_of_its_inducing_rows():
    X, Y = data(1200)
    model = SparseGP("tanimoto", n_inducing=64).fit(X[:1000], Y[:1000])
    Z = model.train_inputs[0]
    is_inducing = (X[:1000, None] == Z).all(-1).any(1)
    alone = ExactGP("tanimoto").fit(X[:1000][is_inducing], Y[:1000][is_inducing])

    def error(m):
        return float((m.mean_and_variance(X[1000:])[0] - Y[1000:, 0]).square().mean().sqrt())

    assert error(model) < 0.8 * error(alone)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="'auto' in 'auto' is not one of tanimoto, minmax, hamming"):
        SparseGP("auto")
