import numpy as np
import pytest
import torch
from botorch.models.model import ModelList

from al_loop.surrogates._gp_model import ExactGPModel
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Hamming
from al_loop.surrogates.testing import SurrogateContract


class TestExactGP(SurrogateContract):
    def make(self) -> ExactGP:
        return ExactGP(kernel="tanimoto")


class TestExactGPOnSequences(SurrogateContract):
    d = 48  # 12 positions, 4 letters

    def make(self) -> ExactGP:
        return ExactGP(kernel="hamming")

    def rows(self, n: int, seed: int = 0) -> torch.Tensor:
        letters = torch.from_numpy(np.random.default_rng(seed).integers(0, 4, (n, 12)))
        return torch.nn.functional.one_hot(letters, 4).flatten(1).double()

    def strange_rows(self, n: int) -> torch.Tensor:
        return self.rows(n, seed=123)


def tanimoto(X1: torch.Tensor, X2: torch.Tensor) -> torch.Tensor:
    dot = X1 @ X2.transpose(-1, -2)
    return dot / ((X1 * X1).sum(-1).unsqueeze(-1) + (X2 * X2).sum(-1).unsqueeze(-2) - dot)


def data(n: int, d: int = 60, seed: int = 0, noise: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Counts, and a noisy linear function of them, far from standardised."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.4, (n, d)).astype(float)
    X[:, 0] += 1  # no empty row
    y = X @ np.random.default_rng(99).normal(size=d) + noise * rng.normal(size=n)
    return torch.from_numpy(X), torch.from_numpy(100 + 20 * y).unsqueeze(-1)


def fitted(n: int = 40, **kwargs: float) -> tuple[ExactGPModel, torch.Tensor, torch.Tensor]:
    X, Y = data(n)
    return ExactGP(kernel="tanimoto", **kwargs).fit(X, Y), X, Y


def dense_posterior(model: ExactGPModel, X: torch.Tensor, Y: torch.Tensor, Xs: torch.Tensor, noise: torch.Tensor):
    """Mean and covariance from the hyperparameters alone."""
    K = model.signal_variance * tanimoto(X, X) + torch.diag(noise)
    k = model.signal_variance * tanimoto(Xs, X)
    mean = model.mean + k @ torch.linalg.solve(K, Y.squeeze(-1) - model.mean)
    return mean, model.signal_variance * tanimoto(Xs, Xs) - k @ torch.linalg.solve(K, k.T)


def log_density(z: np.ndarray, T: np.ndarray, c: float, s: float, r: float, zvar: np.ndarray | float = 0.0) -> float:
    """Log likelihood of standardised targets plus the log priors of log s and log r, as documented, dense."""
    K = s * T + (s * r + zvar) * np.eye(len(z))
    residual = z - c
    likelihood = -0.5 * (residual @ np.linalg.solve(K, residual) + np.linalg.slogdet(2 * np.pi * K)[1])
    return float(likelihood - 0.5 * (np.log(s) + 1 / s) - 0.5 * (np.log(r / 0.1) / 1.5) ** 2)


def test_hyperparameters_maximise_the_density_that_the_docstring_states():
    model, X, Y = fitted()
    y = Y.squeeze(-1).numpy()
    z, T, scale = (y - y.mean()) / y.std(), tanimoto(X, X).numpy(), y.std()
    c, s = (model.mean - y.mean()) / scale, model.signal_variance / scale**2
    r = model.noise_variance / model.signal_variance
    found = log_density(z, T, c, s, r)
    assert model.log_density == pytest.approx(found, abs=1e-6)
    grid = [
        log_density(z, T, c + dc, ss, rr)
        for dc in (-0.1, -0.01, 0.0, 0.01, 0.1)
        for ss in np.geomspace(1e-2, 1e2, 41)
        for rr in np.geomspace(1.1e-4, 90, 41)
    ]
    assert found >= max(grid) - 1e-6
    assert found - max(grid) < 0.2  # and the grid comes close to it


def test_drawn_hyperparameters_have_the_posterior_that_the_docstring_states():
    X, Y = data(10)
    y = Y.squeeze(-1)
    z, scale = ((y - y.mean()) / y.std(correction=0)).numpy(), float(y.std(correction=0))
    draws = ExactGP(kernel="tanimoto").draw_hyperparameters(X, y, 3000, seed=0)
    drawn = np.array(
        [
            ((d.mean - float(y.mean())) / scale, np.log(d.signal_variance / scale**2), np.log(d.noise_ratio))
            for d in draws
        ]
    )
    T = tanimoto(X, X).numpy()
    cs, logs_s, logs_r = np.linspace(-4, 4, 25), np.linspace(-3.5, 5, 24), np.linspace(*np.log([1e-4, 1e2]), 22)
    grid = np.array([(c, s, r) for c in cs for s in logs_s for r in logs_r])
    weights = np.array([log_density(z, T, c, np.exp(s), np.exp(r)) for c, s, r in grid])
    weights = np.exp(weights - weights.max())
    mean = (weights[:, None] * grid).sum(0) / weights.sum()
    spread = np.sqrt((weights[:, None] * (grid - mean) ** 2).sum(0) / weights.sum())
    assert drawn.mean(0) == pytest.approx(mean, abs=0.1)
    assert drawn.std(0) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("is_skewed", [False, True])
def test_the_scale_on_which_targets_are_normal_is_drawn(is_skewed):
    X = data(80)[0]
    z = torch.randn(len(X), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scales = torch.stack([z, z.exp()], dim=1)  # of z, or else of exp(z), whose logarithm has the slope exp(-z)
    slopes = np.array([-float(z.sum()), 0.0]) if is_skewed else np.array([0.0, float(z.sum())])
    draws = ExactGP(kernel="tanimoto").draw_scales(X, scales, slopes, 50, seed=0)
    assert {k for k, _ in draws} == {0}
    assert np.mean([d.mean for _, d in draws]) == pytest.approx(float(z.mean()), abs=0.5)


def test_kernels_are_drawn_from_the_choices_of_a_fit_and_without_data_from_the_prior():
    rows = TestExactGPOnSequences().rows(40)
    y = rows[:, 0] - rows[:, 4]
    surrogate = ExactGP(kernel="hamming")
    lengthscales = {b.kernel.lengthscale for b in surrogate.draw_hyperparameters(rows, y, 40, seed=1)}
    prior = {b.kernel.lengthscale for b in surrogate.draw_prior(rows, 40, seed=1)}
    choices = {kernel.lengthscale for kernel in Hamming().grid()}
    assert lengthscales <= choices
    assert prior <= choices
    assert len(prior) > 1
    assert surrogate.draw_prior(rows, 3, seed=1) == surrogate.draw_prior(rows, 3, seed=1)


def test_the_most_likely_hyperparameters_are_those_of_the_fit():
    model, X, Y = fitted()
    belief = ExactGP(kernel="tanimoto").likely_hyperparameters(X, Y.squeeze(-1))
    assert (belief.mean, belief.signal_variance) == (model.mean, model.signal_variance)
    assert belief.noise_ratio == pytest.approx(model.noise_variance / model.signal_variance)


def test_the_lengthscale_is_the_best_of_the_grid(monkeypatch: pytest.MonkeyPatch):
    letters = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (30, 8)))
    X = torch.nn.functional.one_hot(letters, 4).flatten(1).double()
    Y = (letters == 0).double().sum(-1, keepdim=True)
    surrogate = ExactGP(kernel="hamming")
    chosen = surrogate.fit(X, Y)
    grid = Hamming().grid()
    alone = []
    for kernel in grid:
        monkeypatch.setattr("al_loop.surrogates.gp.kernel_of", lambda text, kernel=kernel: kernel)
        monkeypatch.setattr(Hamming, "axes", lambda self: [])
        alone.append(surrogate.fit(X, Y).log_density)
    assert chosen.kernel == grid[int(np.argmax(alone))]
    assert surrogate.describe(chosen)["lengthscale"] == chosen.kernel.lengthscale


def test_known_noise_is_added_to_the_fitted_one():
    X, Y = data(40)
    rng = np.random.default_rng(3)
    Yvar = torch.from_numpy(rng.uniform(0, 2 * Y.var().item(), (40, 1)))
    Y = Y + Yvar.sqrt() * torch.from_numpy(rng.normal(size=(40, 1)))
    model = ExactGP(kernel="tanimoto").fit(X, Y, Yvar)
    fitted_noise = model.noise_variance - Yvar.mean().item()
    Xs, _ = data(7, seed=5)
    mean, covariance = dense_posterior(model, X, Y, Xs, fitted_noise + Yvar.squeeze(-1))
    assert torch.allclose(model.posterior(Xs).mean.squeeze(-1), mean, rtol=1e-8)
    assert torch.allclose(model.posterior(Xs).variance.squeeze(-1), covariance.diagonal(), rtol=1e-6)

    y = Y.squeeze(-1).numpy()
    z, T, scale = (y - y.mean()) / y.std(), tanimoto(X, X).numpy(), y.std()
    zvar = Yvar.squeeze(-1).numpy() / scale**2
    s, r = model.signal_variance / scale**2, fitted_noise / model.signal_variance
    best = max(
        log_density(z, T, (model.mean - y.mean()) / scale, ss, rr, zvar)
        for ss in np.geomspace(s / 30, s * 30, 31)
        for rr in np.geomspace(max(r / 30, 1e-4), r * 30, 31)
    )
    assert model.log_density >= best - 1e-3


def test_known_noise_of_nearly_zero_changes_nothing():
    model, X, Y = fitted()
    again = ExactGP(kernel="tanimoto").fit(X, Y, torch.full_like(Y, 1e-12))
    assert torch.allclose(again.posterior(X).mean, model.posterior(X).mean, rtol=1e-3)


def test_one_measurement():
    X, Y = data(1)
    model = ExactGP(kernel="tanimoto").fit(X, Y)
    near, far = model.mean_and_variance(torch.stack([X[0], torch.eye(60, dtype=torch.float64)[59]]))[1]
    assert model.mean == pytest.approx(Y.item())
    assert 0 < near < far < 2


def test_constant_targets():
    X, _ = data(20)
    model = ExactGP(kernel="tanimoto").fit(X, torch.full((20, 1), -7.3, dtype=torch.float64))
    mean, variance = model.mean_and_variance(X)
    assert torch.allclose(mean, torch.tensor(-7.3).double())
    assert (variance > 0).all()


def test_rows_measured_several_times():
    X, Y = data(10)
    X, Y = X.repeat(3, 1), torch.cat([Y, Y + 1, Y - 1])
    mean, variance = ExactGP(kernel="tanimoto").fit(X, Y).mean_and_variance(X)
    assert mean.isfinite().all()
    assert (variance > 0).all()
    assert torch.allclose(mean[:10], mean[10:20])


def test_the_same_data_give_the_same_model():
    model, X, Y = fitted()
    again = ExactGP(kernel="tanimoto").fit(X, Y)
    assert torch.equal(model.alpha, again.alpha)
    assert model.signal_variance == again.signal_variance


def test_shifting_and_scaling_the_targets_shifts_and_scales_the_posterior():
    model, X, Y = fitted()
    Xs, _ = data(5, seed=12)
    mean, variance = model.mean_and_variance(Xs)
    scaled_mean, scaled_variance = ExactGP(kernel="tanimoto").fit(X, 1e-3 * Y - 5).mean_and_variance(Xs)
    assert torch.allclose(scaled_mean, 1e-3 * mean - 5, rtol=1e-6)
    assert torch.allclose(scaled_variance, 1e-6 * variance, rtol=1e-4)


def test_several_targets_are_several_models():
    X, Y = data(20)
    both = ExactGP(kernel="tanimoto").fit(X, torch.cat([Y, -2 * Y], dim=1))
    assert isinstance(both, ModelList)
    mean = both.posterior(X[:4].unsqueeze(1)).mean
    assert mean.shape == (4, 1, 2)
    assert torch.allclose(mean[..., 1], -2 * mean[..., 0], rtol=1e-6)
    assert "noise_std_1" in ExactGP(kernel="tanimoto").describe(both)


def test_descriptors_that_are_no_counts_are_exact_too():
    X, Y = data(20)
    X = X + 0.123456789
    model = ExactGP(kernel="tanimoto").fit(X, Y)
    noise = torch.full((20,), model.noise_variance, dtype=torch.float64)
    mean, _ = dense_posterior(model, X, Y, X, noise)
    assert torch.allclose(model.posterior(X).mean.squeeze(-1), mean, rtol=1e-9)


def test_the_fit_predicts_what_it_has_not_seen():
    X, Y = data(300, d=20)
    mean, variance = ExactGP(kernel="tanimoto").fit(X[:250], Y[:250]).mean_and_variance(X[250:])
    truth = Y[250:].squeeze(-1)
    assert np.corrcoef(mean, truth)[0, 1] > 0.8
    assert ((mean - truth).abs() < 2 * variance.sqrt()).double().mean() > 0.7


@pytest.mark.parametrize(
    ("X", "Y", "words"),
    [
        (torch.ones(2, 3), torch.ones(3, 1), "n x d"),
        (torch.ones(2, 3), torch.ones(2), "n x m"),
        (torch.ones(0, 3), torch.ones(0, 1), "n >= 1"),
        (torch.ones(2, 3), torch.tensor([[1.0], [float("nan")]]), "finite"),
    ],
)
def test_unusable_data_are_refused(X, Y, words):
    with pytest.raises(ValueError, match=words):
        ExactGP(kernel="tanimoto").fit(X, Y)


def test_wrong_settings_are_refused():
    X, Y = data(3)
    with pytest.raises(ValueError, match="'auto' in 'auto' is not one of tanimoto, minmax, hamming"):
        ExactGP("auto")
    with pytest.raises(ValueError, match="Yvar"):
        ExactGP(kernel="tanimoto").fit(X, Y, -torch.ones_like(Y))
