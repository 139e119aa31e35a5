import pytest
import torch

from al_loop.errors import ConfigError
from al_loop.surrogates.gp import ExactGP
from al_loop.surrogates.kernels.elementary import Hamming, prepare
from al_loop.surrogates.kernels.positions import WeightedHamming
from al_loop.surrogates.kernels.prior_paths import draw_prior

N_LETTERS, LENGTH = 3, 6


def words(n, seed=0):
    return torch.randint(N_LETTERS, (n, LENGTH), generator=torch.Generator().manual_seed(seed))


def rows(letters):
    return torch.nn.functional.one_hot(letters, N_LETTERS).double().flatten(1)


def test_it_is_the_exponential_of_the_weights_of_the_positions_that_differ():
    a, b = words(5), words(4, seed=1)
    weights = torch.tensor([0.0, 0.3, 2.0, 0.1, 0.0, 1.0], dtype=torch.float64)
    expected = torch.exp(-((a[:, None] != b[None]).double() @ weights))
    assert torch.allclose(WeightedHamming(weights)(rows(a), rows(b)), expected)


def test_with_equal_weights_it_is_the_hamming_kernel():
    X = rows(words(6))
    assert torch.allclose(WeightedHamming().trained(X)(X, X), Hamming(1.0)(X, X))


def test_positions_that_do_not_matter_get_small_weights():
    letters = words(120)
    y = (letters[:, 1] == 2).double() * (letters[:, 4] == 0).double()
    model = ExactGP("weighted_hamming").fit(rows(letters), y[:, None])
    weights = model.kernel.weights
    matters = torch.tensor([False, True, False, False, True, False])
    assert weights[matters].min() > 5 * weights[~matters].max()
    new = words(60, seed=2)
    truth = (new[:, 1] == 2).double() * (new[:, 4] == 0).double()
    assert (model.mean_and_variance(rows(new))[0] - truth).abs().max() < 0.1


def test_rows_that_are_not_one_hot_are_refused():
    with pytest.raises(ConfigError, match="one-hot"):
        ExactGP("weighted_hamming").fit(torch.rand(5, 4), torch.rand(5, 1))


def test_paths_have_the_kernel_as_covariance():
    X = rows(words(4))
    kernel = WeightedHamming(torch.tensor([0.0, 0.3, 2.0, 0.1, 0.5, 1.0], dtype=torch.float64))
    prepared = prepare(X)
    draws = torch.stack([draw_prior(kernel, prepared, 256, seed)(prepared) for seed in range(1500)])
    assert torch.allclose(draws.T @ draws / len(draws), kernel(X, X), atol=0.12)


def test_a_heavy_prior_keeps_the_uncertainty_of_new_objects_on_a_plateau():
    letters = words(40)
    y = torch.zeros(40, 1)
    y[0] = 1.0
    new = rows(words(20, seed=3))
    usual, heavy = (ExactGP("hamming", 0.01, signal_weight=w).fit(rows(letters), y) for w in (1.0, 100.0))
    assert heavy.signal_variance != usual.signal_variance
    assert heavy.mean_and_variance(new)[1].shape == (20,)
