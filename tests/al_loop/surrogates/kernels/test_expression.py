import math
import pickle

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import gamma, kv

from al_loop.errors import ConfigError
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import RBF, Hamming, Matern, MinMax, Tanimoto, prepare
from al_loop.surrogates.kernels.expression import Columns, Product, Scaled, Sum, best_kernel, kernel_of
from al_loop.surrogates.variational import SparseGP

TEXTS = [
    "tanimoto",
    "minmax",
    "matern12[20:26]",
    "rbf[20:26]",
    "tanimoto[0:20] + matern52[20:26]",
    "tanimoto[0:10] * minmax[10:20] + matern32[20:]",
]


def rows(n, seed=0):
    """Twenty counts, then six descriptors of different sizes, one skewed and one constant."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.6, (n, 20)).astype(float)
    descriptors = rng.normal(size=(n, 6)) * [1, 100, 0.01, 5, 1, 0] + [0, 1000, 0, 0, 0, 3]
    descriptors[:, 4] = np.exp(2 * descriptors[:, 4])
    return torch.from_numpy(np.concatenate([counts, descriptors], axis=1))


def counts(n, seed=0):
    return rows(n, seed)[:, :20]


def test_minmax_is_minima_over_maxima():
    X1, X2 = counts(6), counts(5, seed=1)
    X1[0] = X2[0] = 0
    expected = torch.minimum(X1[:, None], X2[None]).sum(-1) / torch.maximum(X1[:, None], X2[None]).sum(-1)
    expected[0, 0] = 1
    assert torch.allclose(MinMax()(X1, X2), expected, atol=1e-7)
    assert torch.allclose(MinMax()(X1.reshape(2, 3, 20), X2), expected.reshape(2, 3, 5), atol=1e-7)


@pytest.mark.parametrize("twice_nu", [1, 3, 5])
def test_matern_is_its_bessel_function(twice_nu):
    X1, X2 = torch.randn(5, 3).double(), torch.randn(4, 3).double()
    nu, scaled = twice_nu / 2, math.sqrt(twice_nu) * cdist(X1, X2) / 0.8
    expected = 2 ** (1 - nu) / gamma(nu) * scaled**nu * kv(nu, scaled)
    assert Matern(twice_nu, 0.8)(X1, X2).numpy() == pytest.approx(expected, abs=1e-10)
    assert torch.allclose(Matern(twice_nu)(X1, X1).diagonal(), torch.ones(5).double(), atol=1e-6)


def test_a_sum_is_the_weighted_mean_and_a_product_the_product_of_its_parts_on_their_columns():
    X1, X2 = rows(7), rows(5, seed=1)
    scaled = Scaled(Matern(5)).trained(X1[:, 20:])
    a, b = Tanimoto()(X1[:, :20], X2[:, :20]), scaled(X1[:, 20:], X2[:, 20:])
    both = (Columns(Tanimoto(), 0, 20), Columns(scaled, 20, None))
    assert torch.allclose(Sum(both, (1.0, 3.0))(X1, X2), 0.25 * a + 0.75 * b, atol=1e-12)
    assert torch.allclose(Sum(both)(X1, X2), (a + b) / 2, atol=1e-12)
    assert torch.allclose(Product(both)(X1, X2), a * b, atol=1e-12)


def test_scaled_columns_do_not_depend_on_units_and_constant_ones_do_not_count():
    X, asked = rows(30)[:, 20:], rows(9, seed=1)[:, 20:]
    K = Scaled(RBF()).trained(X)(asked, X)
    units = torch.tensor([1e3, 1e-4, 7.0, 1.0, 2.0, 5.0], dtype=torch.float64)
    assert torch.allclose(Scaled(RBF()).trained(X * units + 3)(asked * units + 3, X * units + 3), K, atol=1e-6)
    assert torch.allclose(Scaled(RBF()).trained(X[:, :5])(asked[:, :5], X[:, :5]), K, atol=1e-12)
    z = np.arcsinh(2 * (X - X.median(0).values) / X.std(0, correction=0).clamp_min(1e-9)).numpy()[:, :5] / 2
    expected = np.exp(-cdist(z, z, "sqeuclidean") / 5 / 4)
    assert Scaled(RBF()).trained(X)(X, X).numpy() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("text", TEXTS)
def test_every_kernel_is_positive_semidefinite_with_a_unit_diagonal(text):
    X = rows(60) if "[" in text else counts(60)
    kernel = kernel_of(text).trained(X)
    for option in [kernel, *(option for axis in kernel.axes() for option in axis)]:
        K = option(X, X)
        assert torch.allclose(K.diagonal(), torch.ones(60).double(), atol=1e-6)
        assert torch.linalg.eigvalsh((K + K.T) / 2).min() > -1e-7


@pytest.mark.parametrize("text", TEXTS)
def test_posteriors_are_those_of_a_dense_solve(text):
    X, asked = (rows(40), rows(8, seed=1)) if "[" in text else (counts(40), counts(8, seed=1))
    Y = X[:, :3].sum(1, keepdim=True) + 0.1 * X[:, 5:6]
    model = ExactGP(text).fit(X, Y)
    K = model.kernel(torch.cat([X, asked]), torch.cat([X, asked])).numpy()
    s, noise = model.signal_variance, model.noise_variance
    C = s * K[:40, :40] + noise * np.eye(40)
    cross = s * K[40:, :40]
    mean = model.mean + cross @ np.linalg.solve(C, Y[:, 0].numpy() - model.mean)
    covariance = s * K[40:, 40:] - cross @ np.linalg.solve(C, cross.T)
    posterior = model.posterior(asked)
    assert posterior.mean[:, 0].detach().numpy() == pytest.approx(mean, abs=1e-6)
    assert posterior.distribution.covariance_matrix.detach().numpy() == pytest.approx(covariance, abs=1e-6 * s)
    m, v = model.mean_and_variance(asked)
    assert m.numpy() == pytest.approx(mean, abs=1e-6)
    assert v.numpy() == pytest.approx(np.diag(covariance), abs=1e-6 * s)


def test_texts_are_read_with_products_before_sums():
    kernel = kernel_of(" tanimoto[0:8]*rbf[8:] +hamming ")
    assert isinstance(kernel, Sum)
    product, hamming = kernel.parts
    assert isinstance(product, Product)
    assert product.parts[0] == Columns(Tanimoto(), 0, 8)
    assert (product.parts[1].start, product.parts[1].stop) == (8, None)
    assert isinstance(product.parts[1].kernel, Scaled)
    assert isinstance(hamming, Hamming)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tanimotto", "'tanimotto' in 'tanimotto' is not one of tanimoto, minmax"),
        ("tanimoto +", "'' in 'tanimoto \\+'"),
        ("tanimoto[3:3]", "has no columns"),
        ("tanimoto(0:3)", "is not one of"),
        ("", "is not one of"),
    ],
)
def test_what_is_no_kernel_is_refused_when_the_surrogate_is_built(text, message):
    with pytest.raises(ValueError, match=message):
        ExactGP(text)


def test_the_fit_gives_the_weight_to_the_part_that_matters():
    X = rows(200)
    by_counts, by_descriptor = X[:, :1] + X[:, 3:4], (X[:, 20:21] * 2).sin()
    shares = [
        ExactGP("tanimoto[0:20] + matern52[20:26]").fit(X, Y).kernel.shares[0] for Y in (by_counts, by_descriptor)
    ]
    assert shares[0] > 0.6
    assert shares[1] < 0.4


def test_the_best_choice_is_found_one_hyperparameter_after_the_other():
    kernel = kernel_of("tanimoto[0:20] + rbf[20:26]").trained(rows(10))

    def wanted(option):  # a peak at a weight of 0.3 for the first part and the longest lengthscale
        ratio = option.shares[0] / option.shares[1]
        return -100 * math.log(ratio / 0.3) ** 2 - 100 * math.log(option.parts[1].kernel.kernel.lengthscale / 3.96) ** 2

    best = best_kernel(kernel, wanted)
    assert best.shares == pytest.approx((0.3 / 1.3, 1 / 1.3))
    assert best.parts[1].kernel.kernel.lengthscale == pytest.approx(2.8 * math.sqrt(2))
    assert best.hyperparameters()["share_1"] == pytest.approx(1 / 1.3)


def test_counts_beside_descriptors_are_multiplied_exactly_in_float32():
    block = Columns(Tanimoto(), 0, 20)
    assert block.rows(prepare(rows(4))).values.dtype == torch.float32
    trained = block.trained(rows(4))
    assert trained.rows(prepare(rows(4))).values.dtype == torch.float32
    assert torch.equal(trained(rows(4), rows(5, seed=1)), Tanimoto()(counts(4), counts(5, seed=1)))
    assert Columns(Tanimoto(), 20, 22).trained(rows(4)).rows(prepare(rows(4))).values.dtype == torch.float64


@pytest.mark.parametrize("text", [text for text in TEXTS if "[" in text])
def test_the_sparse_gp_with_all_rows_inducing_is_the_exact_one(text):
    X, asked = rows(40), rows(8, seed=1)
    Y = X[:, :3].sum(1, keepdim=True) + 0.1 * X[:, 5:6]
    for Yvar in (None, torch.linspace(0, float(Y.var()), 40).double()[:, None]):
        exact, sparse = ExactGP(text).fit(X, Y, Yvar), SparseGP(text, n_inducing=40).fit(X, Y, Yvar)
        assert sparse.kernel.hyperparameters() == exact.kernel.hyperparameters()
        # beside known noise both search for two numbers at once, to four digits
        tolerance = (1e-5 if Yvar is None else 2e-2) * exact.signal_variance**0.5
        ours, theirs = sparse.posterior(asked), exact.posterior(asked)
        assert torch.allclose(ours.mean, theirs.mean, atol=tolerance)
        covariances = (p.distribution.covariance_matrix for p in (ours, theirs))
        assert torch.allclose(*covariances, atol=tolerance * exact.signal_variance**0.5)


def test_known_noise_and_several_targets_under_a_sum_are_those_of_dense_solves():
    X, asked = rows(60), rows(8, seed=1)
    by_counts, by_descriptor = X[:, :1] + X[:, 3:4], (X[:, 20:21] * 2).sin()
    Y = torch.cat([by_counts, by_descriptor], dim=1)
    Yvar = torch.linspace(0.01, 1, 60).double()[:, None] * Y.var(0)
    both = ExactGP("tanimoto[0:20] + matern52[20:26]").fit(X, Y, Yvar)
    kernels = [model.kernel.hyperparameters() for model in both.models]
    assert kernels[0] != kernels[1]  # each target chooses its own
    for model, y, yvar in zip(both.models, Y.T, Yvar.T, strict=True):
        s, fitted_noise = model.signal_variance, model.noise_variance - yvar.mean()
        assert fitted_noise > 0
        C = s * model.kernel(X, X) + torch.diag(fitted_noise + yvar)
        cross = s * model.kernel(asked, X)
        mean, variance = model.mean_and_variance(asked)
        assert torch.allclose(mean, model.mean + cross @ torch.linalg.solve(C, y - model.mean), atol=1e-6)
        assert torch.allclose(variance, s - (cross * torch.linalg.solve(C, cross.T).T).sum(1), atol=1e-6 * s)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tanimoto[26:]", r"the columns \[26:\] are out of range, the features have 26"),
        ("tanimoto[0:20] + matern52[20:27]", r"the columns \[20:27\] are out of range"),
        ("minmax", "minmax requires counts"),
        ("tanimoto[0:20] * minmax[20:26]", "minmax requires counts"),
        ("hamming[0:20]", "hamming requires one-hot letters"),
        ("hamming", "hamming requires one-hot letters"),
    ],
)
@pytest.mark.parametrize("surrogate", [ExactGP, SparseGP])
def test_rows_that_a_kernel_cannot_compare_are_refused_by_the_fit(surrogate, text, message):
    with pytest.raises(ConfigError, match=message):
        surrogate(text).fit(rows(30), rows(30)[:, :1])


@pytest.mark.parametrize("text", TEXTS)
def test_a_fitted_model_pickles(text):
    X = rows(20) if "[" in text else counts(20)
    model = ExactGP(text).fit(X, X[:, :1])
    copy = pickle.loads(pickle.dumps(model))
    assert torch.equal(copy.mean_and_variance(X)[0], model.mean_and_variance(X)[0])


def test_rescaling_multiplies_the_deviations_alone():
    X, asked = counts(20), counts(5, seed=1)
    model = ExactGP("minmax").fit(X, X[:, :1] + X[:, 1:2])
    wider = model.rescaled(2.0)
    for before, after, factor in zip(
        model.mean_and_variance(asked), wider.mean_and_variance(asked), (1, 4), strict=True
    ):
        assert torch.allclose(after, factor * before)
    assert wider.noise_variance == pytest.approx(4 * model.noise_variance)
    noisy = wider.posterior(asked[:, None], observation_noise=True).variance
    assert torch.allclose(noisy, 4 * model.posterior(asked[:, None], observation_noise=True).variance)
    assert model.posterior(asked).variance.shape == (5, 1)
