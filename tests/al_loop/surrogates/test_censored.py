"""Bounds as training data: against a dense numerical posterior, and what every surrogate makes of them."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from al_loop.surrogates._censored import hazard, pseudo_targets, truncated_mean
from al_loop.surrogates.auto import Auto
from al_loop.surrogates.ensemble import DeepEnsemble
from al_loop.surrogates.gp import ExactGP


def kernel(a, b):
    return np.exp(-0.5 * (a[:, None] - b[None]) ** 2)


def dense_posterior(x, y, side, noise, mean, x_new):
    """Integrate over the values at the censored rows on a grid; the others are exact and conditioned on."""
    is_bound = side != 0
    exact, bound = x[~is_bound], x[is_bound]
    K = kernel(exact, exact) + noise * np.eye(len(exact))
    gain = kernel(bound, exact) @ np.linalg.inv(K)
    m = mean + gain @ (y[~is_bound] - mean)
    C = kernel(bound, bound) - gain @ kernel(exact, bound)
    grid = np.linspace(-7, 7, 201)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    residual = points - m
    log_density = -0.5 * np.einsum("ni,ij,nj->n", residual, np.linalg.inv(C), residual)
    log_density += norm.logcdf(side[is_bound] * (points - y[is_bound]) / noise**0.5).sum(1)
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()
    everything = np.concatenate([exact, bound])
    K = kernel(everything, everything)
    K[: len(exact), : len(exact)] += noise * np.eye(len(exact))
    gain = kernel(x_new, everything) @ np.linalg.inv(K + 1e-10 * np.eye(len(K)))
    f = np.concatenate([np.tile(y[~is_bound], (len(points), 1)), points], axis=1)
    means = mean + (f - mean) @ gain.T
    mean_new = weights @ means
    own = 1 - np.einsum("ni,in->n", gain, kernel(everything, x_new))
    return mean_new, own + weights @ (means - mean_new) ** 2


@pytest.mark.parametrize("sides", [(0, 0, 1, -1), (0, 0, 1, 1), (0, 0, -1, -1)])
@pytest.mark.parametrize("noise", [0.05, 0.4])
def test_the_posterior_is_that_of_a_dense_integration(sides, noise):
    x, y, side = np.array([-1.5, 1.8, 0.2, 0.9]), np.array([0.3, -0.6, 0.5, 0.1]), np.array(sides)
    x_new = np.linspace(-2.5, 2.5, 9)
    pseudo = pseudo_targets(
        torch.from_numpy(kernel(x, x)), 0.1, *(torch.from_numpy(v) for v in (y, np.full(4, noise), side))
    )
    K = kernel(x, x) + np.diag(pseudo.noise.numpy())
    gain = kernel(x_new, x) @ np.linalg.inv(K)
    mean, variance = 0.1 + gain @ (pseudo.targets.numpy() - 0.1), 1 - np.einsum("ni,in->n", gain, kernel(x, x_new))
    expected_mean, expected_variance = dense_posterior(x, y, side, noise, 0.1, x_new)
    assert mean == pytest.approx(expected_mean, abs=0.02)
    assert variance == pytest.approx(expected_variance, abs=0.03)


def test_moments_of_truncated_normal_variables():
    for side, expected in ((1.0, 0.7979), (-1.0, -0.7979)):
        assert float(truncated_mean(*(torch.tensor([v]) for v in (0.0, 1.0, 0.0, side)))) == pytest.approx(
            expected, abs=1e-4
        )
    assert hazard(torch.tensor([-40.0], dtype=torch.float64)) == pytest.approx(40.025, abs=1e-3)
    far = truncated_mean(*(torch.tensor([v], dtype=torch.float64) for v in (0.0, 1.0, 30.0, 1.0)))
    assert 30 <= float(far) < 30.1


X = torch.eye(12, dtype=torch.float64).repeat_interleave(2, 0)
Y = torch.linspace(0, 11, 24, dtype=torch.float64)[:, None]


@pytest.mark.parametrize("surrogate", [ExactGP("rbf"), Auto("rbf"), DeepEnsemble(n_members=2)], ids=lambda s: s.kind)
def test_predictions_lie_on_the_right_side_of_bounds(surrogate):
    bounded, sides = Y.clone(), torch.zeros(24, dtype=torch.float64)
    bounded[20:] = 6.0  # truly 9.6 to 11
    sides[20:] = 1.0
    mean = surrogate.fit_censored(X, bounded, None, sides).posterior(X[20::2]).mean
    at_bound = surrogate.fit(X, bounded).posterior(X[20::2]).mean
    assert (mean > at_bound - 0.05).all()
    assert mean.mean() > at_bound.mean()


def test_without_bounds_nothing_changes():
    surrogate = ExactGP("rbf")
    one, other = surrogate.fit(X, Y), surrogate.fit_censored(X, Y, None, torch.zeros(24))
    assert torch.equal(one.alpha, other.alpha)


def test_all_values_may_be_bounds():
    model = ExactGP("rbf").fit_censored(X[:6], Y[:6], None, torch.tensor([1.0, -1, 1, -1, 1, 1]))
    assert model.posterior(X).mean.isfinite().all()
    assert model.noise_variance > 0
