import pytest
import torch

from al_loop.surrogates._gp_model import PosteriorPath
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import RBF, Hamming, Kernel, Matern, Tanimoto, prepare
from al_loop.surrogates.kernels.expression import kernel_of
from al_loop.surrogates.kernels.prior_paths import draw_prior
from al_loop.surrogates.variational import SparseGP

pytestmark = pytest.mark.slow

GENERATOR = torch.Generator().manual_seed(0)
COUNTS = torch.randint(0, 4, (12, 30), generator=GENERATOR).double()
WORDS = torch.eye(3).double()[torch.randint(0, 3, (12, 10), generator=GENERATOR)].flatten(1)
Y = COUNTS[:, :3].sum(-1, keepdim=True)
NEW = {
    "tanimoto": torch.randint(0, 4, (5, 30), generator=GENERATOR).double(),
    "hamming": torch.nn.functional.one_hot(torch.randint(0, 3, (5, 10), generator=GENERATOR), 3)
    .reshape(5, 30)
    .double(),
}
OLD = {"tanimoto": COUNTS, "hamming": WORDS}
MODELS = {name: ExactGP(kernel=name).fit(OLD[name], Y) for name in OLD}


@pytest.mark.parametrize(
    ("kernel", "X"),
    [(Tanimoto(), torch.cat([COUNTS, torch.eye(30).double()[:1] * 40, torch.eye(30).double()[1:3]]))]
    + [(Hamming(lengthscale), WORDS) for lengthscale in (0.05, 0.5, 4.0)]
    + [(RBF(3.0), COUNTS), (Matern(1, 4.0), COUNTS), (Matern(3, 4.0), COUNTS), (Matern(5, 4.0), COUNTS)]
    + [(kernel_of("tanimoto[0:20] + matern32[20:30] + rbf").trained(COUNTS), COUNTS)],
)
def test_the_priors_covariance_is_the_kernel(kernel, X):
    rows = prepare(X)
    drawn = torch.stack([draw_prior(kernel, rows, 128, seed)(rows) for seed in range(4000)])
    covariance = drawn.T @ drawn / len(drawn)
    # 0.02 is the standard error of a variance from 4,000 draws; the rest is the bias of 128 features
    assert torch.allclose(covariance, kernel(X, X), atol=0.1)
    assert (covariance - kernel(X, X)).square().mean().sqrt() < 0.03


@pytest.mark.parametrize("name", ["tanimoto", "hamming"])
def test_draws_have_the_exact_posteriors_mean_and_covariance(name):
    model, X = MODELS[name], torch.cat([NEW[name], OLD[name][:2]])
    drawn = torch.stack([PosteriorPath(model, 512, seed)(X) for seed in range(3000)])
    exact = model.posterior(X)
    covariance = exact.distribution.covariance_matrix
    std = covariance.diagonal().sqrt()
    assert ((drawn.mean(0) - exact.mean.squeeze(-1)).abs() < 0.1 * std).all()
    scale = std[:, None] * std
    assert ((drawn.T.cov() - covariance) / scale).abs().max() < 0.12


def test_draws_from_a_sparse_gp_keep_the_correlations_of_its_noise(monkeypatch):
    X = torch.randint(0, 3, (400, 10), generator=torch.Generator().manual_seed(1)).double()
    model = SparseGP("tanimoto", n_inducing=100).fit(X, X[:, :3].sum(-1, keepdim=True))
    # without a prior draw a path is mean - sqrt(s) t(x) R^-1 e, e being the noise alone
    monkeypatch.setattr(
        "al_loop.surrogates._gp_model.draw_prior", lambda *_: lambda rows: torch.zeros(len(rows.values))
    )
    weights = [PosteriorPath(model, 128, seed)._weights - model.alpha for seed in range(4000)]
    drawn = torch.stack(weights) @ (model.L @ model.L.T) / model.signal_variance**0.5
    noise = model.L @ model.L.T - Tanimoto()(model.train_inputs[0], model.train_inputs[0])
    deviation = noise.diagonal().sqrt()
    correlation, found = (C / deviation / deviation[:, None] for C in (noise, drawn.T.cov()))
    assert correlation.fill_diagonal_(0).abs().max() > 0.3
    assert (found.fill_diagonal_(0) - correlation).abs().max() < 0.1


def features(path, rows):
    """phi(x), the values under each unit vector of weights: n x features."""
    path(rows)
    projections, weights, at_zero, *others = path._numbers
    units = torch.eye(weights.numel(), dtype=torch.float64).reshape(-1, *weights.shape)
    return torch.stack([path._evaluate(rows, (projections, one, at_zero, *others)) for one in units], dim=1)


def test_one_set_of_features_already_gives_kernel_and_posterior_variance():
    model, n, both = MODELS["tanimoto"], len(COUNTS), torch.cat([COUNTS, NEW["tanimoto"]])
    phi = features(draw_prior(Tanimoto(), prepare(both), 2048, 0), prepare(both))
    K = Tanimoto()(both, both)
    assert torch.allclose(phi.square().sum(1), torch.ones(len(both)).double(), atol=1e-6)
    assert (phi @ phi.T - K).square().mean().sqrt() < 1.5 / 2048**0.5
    R = model.L @ model.L.T
    T = torch.linalg.solve(R, K[:n, n:]).T  # t(x) R^-1
    left = phi[n:] - T @ phi[:n]
    variance = model.signal_variance * (left.square().sum(1) + T.square() @ (R.diagonal() - 1))
    assert torch.allclose(variance, model.mean_and_variance(NEW["tanimoto"])[1], rtol=0.1)


def test_a_kernel_without_features_is_refused():
    class Other(Kernel):
        def of_dot(self, dot, squared1, squared2):
            return dot

    with pytest.raises(NotImplementedError, match="not for Other"):
        draw_prior(Other(), prepare(COUNTS), 128, 0)
