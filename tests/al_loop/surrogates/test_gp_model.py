import pickle
import warnings

import gpytorch
import numpy as np
import pytest
import torch
from botorch.acquisition import LogExpectedImprovement, UpperConfidenceBound, qUpperConfidenceBound
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler

from al_loop.surrogates._gp_model import ExactGPModel
from al_loop.surrogates.gp import ExactGP


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


def test_posterior_equals_a_dense_solve():
    model, X, Y = fitted()
    Xs, _ = data(7, seed=5)
    mean, covariance = dense_posterior(model, X, Y, Xs, torch.full((40,), model.noise_variance, dtype=torch.float64))
    posterior = model.posterior(Xs)
    assert torch.allclose(posterior.mean.squeeze(-1), mean, rtol=1e-9)
    assert torch.allclose(posterior.distribution.covariance_matrix, covariance, atol=1e-7 * model.signal_variance)
    row_mean, row_variance = model.mean_and_variance(Xs)
    assert torch.allclose(row_mean, mean, rtol=1e-9)
    assert torch.allclose(row_variance, covariance.diagonal(), rtol=1e-7)


def test_observation_noise_adds_the_noise_variance():
    model, X, _ = fitted()
    for Xs in (X[:5], X[:5].unsqueeze(1)):
        quiet, noisy = model.posterior(Xs), model.posterior(Xs, observation_noise=True)
        assert torch.allclose(noisy.variance - quiet.variance, torch.tensor(model.noise_variance).double())
    given = model.posterior(X[:5], observation_noise=torch.full((5, 1), 2.0, dtype=torch.float64))
    assert torch.allclose(given.variance - model.posterior(X[:5]).variance, torch.tensor(2.0).double())


class TanimotoOfGPyTorch(gpytorch.kernels.Kernel):
    def forward(self, x1, x2, diag=False, **params):
        K = tanimoto(x1, x2)
        return K.diagonal(dim1=-1, dim2=-2) if diag else K


def botorch_model(model: ExactGPModel, X: torch.Tensor, Y: torch.Tensor) -> SingleTaskGP:
    """BoTorch's own Gaussian process with the same hyperparameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inputs are not scaled, which it recommends
        other = SingleTaskGP(
            X, Y, covar_module=gpytorch.kernels.ScaleKernel(TanimotoOfGPyTorch()), outcome_transform=None
        )
    other.likelihood.noise_covar.register_constraint("raw_noise", gpytorch.constraints.Positive())
    other.likelihood.noise = model.noise_variance
    other.covar_module.outputscale = model.signal_variance
    other.mean_module.initialize(constant=model.mean)
    return other.eval()


def test_acquisition_values_are_those_on_botorchs_own_model():
    model, X, Y = fitted()
    other = botorch_model(model, X, Y)
    Xs, _ = data(9, seed=6)
    X_pending, _ = data(3, seed=7)
    best_f = Y.max().item()

    def acquisitions(m):
        sampler = SobolQMCNormalSampler(torch.Size([64]), seed=1)
        return [
            UpperConfidenceBound(m, beta=2.0),
            LogExpectedImprovement(m, best_f=best_f),
            qLogExpectedImprovement(m, best_f=best_f, sampler=sampler),
            qLogExpectedImprovement(m, best_f=best_f, sampler=sampler, X_pending=X_pending),
            qUpperConfidenceBound(m, beta=2.0, sampler=sampler, X_pending=X_pending),
        ]

    with torch.no_grad():
        for ours, theirs in zip(acquisitions(model), acquisitions(other), strict=True):
            assert torch.allclose(ours(Xs.unsqueeze(1)), theirs(Xs.unsqueeze(1)), rtol=1e-4, atol=1e-4), ours


def test_t_batches_equal_their_rows_one_by_one():
    model, _, _ = fitted()
    Xs, _ = data(12, seed=8)
    batched = model.posterior(Xs.reshape(2, 2, 3, -1))
    assert batched.mean.shape == (2, 2, 3, 1)
    for i in range(4):
        alone = model.posterior(Xs[3 * i : 3 * i + 3])
        assert torch.allclose(batched.mean[i // 2, i % 2], alone.mean)
        covariance = batched.distribution.covariance_matrix[i // 2, i % 2]
        assert torch.allclose(covariance, alone.distribution.covariance_matrix)
    singles = model.posterior(Xs.unsqueeze(1))
    assert singles.mean.shape == (12, 1, 1)
    assert torch.allclose(singles.mean.flatten(), batched.mean.flatten())
    assert torch.allclose(singles.variance.flatten(), batched.variance.flatten(), rtol=1e-5)
    assert model.posterior(Xs[:0].unsqueeze(1)).mean.shape == (0, 1, 1)


def test_pending_rows_keep_the_mean_and_reduce_the_variance():
    model, X, Y = fitted()
    Xs, _ = data(20, seed=9)
    X_pending = torch.cat([Xs[:2], Xs[:1]])  # one of them twice
    conditioned = model.condition_on_pending(X_pending)
    mean, variance = model.mean_and_variance(Xs)
    new_mean, new_variance = conditioned.mean_and_variance(Xs)
    assert torch.allclose(new_mean, mean, rtol=1e-12)
    assert (new_variance <= variance * (1 + 1e-12)).all()
    assert (new_variance[:2] < 0.5 * variance[:2]).all()
    augmented, hallucinated = torch.cat([X, X_pending]), torch.cat([Y, mean[[0, 1, 0]].unsqueeze(-1)])
    noise = torch.full((43,), model.noise_variance, dtype=torch.float64)
    dense_mean, dense_covariance = dense_posterior(model, augmented, hallucinated, Xs, noise)
    assert torch.allclose(new_mean, dense_mean, rtol=1e-9)
    assert torch.allclose(new_variance, dense_covariance.diagonal(), rtol=1e-6)


def test_the_view_with_pending_rows_is_the_joint_posterior():
    model, _, _ = fitted()
    Xs, _ = data(8, seed=10)
    X_pending, _ = data(3, seed=11)
    view = model.jointly_with(X_pending)
    for q in (1, 2):
        X = Xs.reshape(-1, q, Xs.shape[-1])
        joint = view.posterior(X)
        copied = model.posterior(torch.cat([X, X_pending.expand(len(X), -1, -1)], dim=1))
        assert torch.allclose(joint.mean, copied.mean)
        ours, theirs = joint.distribution.covariance_matrix, copied.distribution.covariance_matrix
        assert torch.allclose(ours, theirs, atol=1e-6 * model.signal_variance)


def test_a_model_survives_pickling():
    model, X, _ = fitted()
    again = pickle.loads(pickle.dumps(model))
    for ours, theirs in zip(again.mean_and_variance(X), model.mean_and_variance(X), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kernel", ["tanimoto", "minmax", "rbf", "matern52[0:30] * tanimoto[30:60] + minmax[0:30]"])
@pytest.mark.parametrize("noise", [None, 0.1])
def test_whatever_a_fit_makes_lies_where_its_data_lie(kernel: str, noise: float | None):
    """Tensors that name no device are made elsewhere here, as they are on a GPU's machine."""
    X, Y = data(60)
    Yvar = None if noise is None else torch.full_like(Y, noise)
    expected = ExactGP(kernel).fit(X, Y, Yvar)
    asked, _ = data(9, seed=5)
    with torch.device("meta"):
        model = ExactGP(kernel).fit(X, Y, Yvar)
        mean, variance = model.condition_on_pending(asked[:2]).mean_and_variance(asked)
    again = expected.condition_on_pending(asked[:2]).mean_and_variance(asked)
    assert torch.equal(mean, again[0])
    assert torch.equal(variance, again[1])


def test_training_data_are_given_back_as_they_were():
    model, X, Y = fitted()
    assert torch.equal(model.train_inputs[0], X)
    assert torch.equal(model.train_targets, Y.squeeze(-1))
