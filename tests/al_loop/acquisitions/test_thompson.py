import pickle

import pytest
import torch
from botorch.models import SingleTaskGP
from botorch.models.ensemble import EnsembleModel
from botorch.models.model import Model

from al_loop.acquisitions._pathwise_sampling import PosteriorPath, draw_prior
from al_loop.acquisitions.thompson import Thompson
from al_loop.errors import ConfigError
from al_loop.surrogates._kernel_expression import kernel_of
from al_loop.surrogates._kernels import RBF, Hamming, Kernel, Matern, Tanimoto, prepare
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.variational import SparseGP

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
    drawn = torch.stack([PosteriorPath(model, 512, seed)(X.unsqueeze(1)) for seed in range(3000)])
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
        "al_loop.acquisitions._pathwise_sampling.draw_prior", lambda *_: lambda rows: torch.zeros(len(rows.values))
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
    projections, weights, at_zero, *others = path._made
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


def test_a_round_has_one_function_for_all_objects_calls_and_processes():
    X = NEW["tanimoto"].unsqueeze(1)
    acquisition = Thompson().build(MODELS["tanimoto"], COUNTS, NEW["tanimoto"][:2], 0.0)
    value = acquisition(X)
    assert value.dtype == torch.float64
    assert torch.allclose(acquisition(X[2:]), value[2:], atol=1e-5)
    assert torch.allclose(acquisition(X), value, atol=0)
    travelled = pickle.dumps(acquisition)
    assert len(travelled) < 100_000  # no features in it
    assert torch.allclose(pickle.loads(travelled)(X), value, atol=1e-9)
    again = Thompson().build(MODELS["tanimoto"], COUNTS, NEW["tanimoto"][:2], 0.0)
    assert torch.allclose(again(X), value, atol=1e-9)


def test_other_rounds_and_seeds_have_other_functions():
    X = NEW["tanimoto"].unsqueeze(1)
    model = MODELS["tanimoto"]
    first = Thompson().build(model, COUNTS, None, 0.0)(X)
    assert not torch.allclose(Thompson().build(model, COUNTS[:-1], None, 0.0)(X), first, atol=1e-3)
    assert not torch.allclose(Thompson(seed=1).build(model, COUNTS, None, 0.0)(X), first, atol=1e-3)


def test_pending_objects_are_seldom_the_best_of_a_draw():
    model, X = MODELS["tanimoto"], NEW["tanimoto"]
    best = [Thompson(n_features=256, seed=s).build(model, COUNTS, None, 0.0)(X.unsqueeze(1)) for s in range(300)]
    left = [Thompson(n_features=256, seed=s).build(model, COUNTS, X[:1], 0.0)(X.unsqueeze(1)) for s in range(300)]
    deviation = model.mean_and_variance(X[:1])[1].sqrt()
    assert torch.stack(left)[:, 0].std() < 0.6 * torch.stack(best)[:, 0].std()
    assert torch.stack(best)[:, 0].std().item() == pytest.approx(deviation.item(), rel=0.15)
    none = Thompson().build(model, COUNTS, None, 0.0)(X.unsqueeze(1))
    assert torch.equal(Thompson().build(model, COUNTS, X[:0], 0.0)(X.unsqueeze(1)), none)


def test_a_draw_agrees_with_what_was_measured_without_noise():
    model = ExactGP(kernel="tanimoto", noise_ratio=1e-4, noise_spread=0.01).fit(COUNTS, Y)
    value = Thompson().build(model, COUNTS, None, 0.0)(COUNTS.unsqueeze(1))
    assert torch.allclose(value, Y.squeeze(-1), atol=5 * model.noise_variance**0.5)


class Unknown(Model):
    """A model that nothing is known of."""

    def posterior(self, X, **options):
        raise NotImplementedError


class Lines(EnsembleModel):
    """Three members: 1, 2 and 3 times the sum."""

    num_outputs = 1

    def forward(self, X):
        return torch.stack([k * X.sum(-1, keepdim=True) for k in (1.0, 2.0, 3.0)], dim=-3)


def test_an_ensemble_gives_one_of_its_members():
    X = NEW["tanimoto"].unsqueeze(1)
    ratios = []
    for seed in range(60):
        value = Thompson(seed=seed).build(Lines(), COUNTS, None, 0.0)(X)
        ratio = value / X.sum((-1, -2))
        assert torch.allclose(ratio, ratio[0])
        ratios.append(round(float(ratio[0])))
    assert {k: ratios.count(k) > 8 for k in (1, 2, 3)} == {1: True, 2: True, 3: True}


@pytest.mark.filterwarnings("ignore")
def test_a_botorch_gp_gives_a_function_near_its_data():
    stock = SingleTaskGP(COUNTS[:, :3] / 3, Y)
    acquisition = Thompson().build(stock, COUNTS[:, :3] / 3, None, 0.0)
    X = COUNTS[:, None, :3] / 3
    assert torch.equal(acquisition(X), acquisition(X))
    assert (acquisition(X) - Y.squeeze(-1)).abs().max() < 1.5
    assert torch.allclose(pickle.loads(pickle.dumps(acquisition))(X), acquisition(X))


def test_what_cannot_be_drawn_from_is_refused_with_the_remedy():
    class Other(Kernel):
        def of_dot(self, dot, squared1, squared2):
            return dot

    with pytest.raises(ConfigError, match="not of Other"):
        draw_prior(Other(), prepare(COUNTS), 128, 0)
    with pytest.raises(ConfigError, match="take surrogate gp"):
        Thompson().build(Unknown(), COUNTS, None, 0.0)
