"""The default implementations of SurrogateModel, against those of the exact GP and against brute force."""

import pickle

import pytest
import torch
from botorch.models import SingleTaskGP

from al_loop.acquisitions.testing import DefaultModel
from al_loop.surrogates.base import NormalModel, as_surrogate_model
from al_loop.surrogates.gp import ExactGP
from tests.support.models import SumEnsemble

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 4, (15, 12), generator=GENERATOR).double()
Y = X[:, :3].sum(-1, keepdim=True) + torch.randn(15, 1, generator=GENERATOR).double()
NEW = torch.randint(0, 4, (6, 12), generator=GENERATOR).double()
PENDING = torch.randint(0, 4, (3, 12), generator=GENERATOR).double()
EXACT = ExactGP("tanimoto").fit(X, Y)
DEFAULT = DefaultModel(EXACT)


def test_means_and_variances_are_those_of_the_posterior():
    for ours, theirs in zip(DEFAULT.mean_and_variance(NEW), EXACT.mean_and_variance(NEW), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-6)
    for ours, theirs in zip(DEFAULT.mean_and_covariance(NEW), EXACT.mean_and_covariance(NEW), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.allclose(DEFAULT.noise_at(NEW[:, None]), torch.tensor(EXACT.noise_variance).double())
    assert DEFAULT.mean_and_variance(NEW[:0])[0].shape == (0,)


def test_conditioning_is_that_of_the_exact_gp():
    ours, theirs = DEFAULT.condition_on_pending(PENDING), EXACT.condition_on_pending(PENDING)
    for a, b in zip(ours.mean_and_variance(NEW), theirs.mean_and_variance(NEW), strict=True):
        assert torch.allclose(a, b, rtol=1e-4)
    joint, exact = ours.posterior(NEW.reshape(3, 2, -1)), theirs.posterior(NEW.reshape(3, 2, -1))
    assert torch.allclose(joint.mean, exact.mean, rtol=1e-6)
    assert torch.allclose(joint.variance, exact.variance, rtol=1e-4)
    again = ours.condition_on_pending(NEW[:2]).mean_and_variance(NEW)[1]
    assert torch.allclose(again, theirs.condition_on_pending(NEW[:2]).mean_and_variance(NEW)[1], rtol=1e-3)


def test_rescaling_and_joint_and_cross_posteriors_are_those_of_the_exact_gp():
    for a, b in zip(
        DEFAULT.rescaled(1.5).mean_and_variance(NEW), EXACT.rescaled(1.5).mean_and_variance(NEW), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-6)
    assert DEFAULT.rescaled(1.5).noise_variance == pytest.approx(EXACT.rescaled(1.5).noise_variance)
    ours = DEFAULT.jointly_with(PENDING).posterior(NEW[:, None])
    theirs = EXACT.jointly_with(PENDING).posterior(NEW[:, None])
    assert torch.allclose(ours.mean, theirs.mean)
    assert torch.allclose(ours.variance, theirs.variance, rtol=1e-5)
    cross, exact = DEFAULT.cross_posterior(PENDING), EXACT.cross_posterior(PENDING)
    assert torch.allclose(cross.mean, exact.mean)
    assert torch.allclose(cross.covariance, exact.covariance)
    for a, b in zip(cross(NEW[:, None]), exact(NEW[:, None]), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("change", [lambda m: m.condition_on_pending(PENDING), lambda m: m.rescaled(0.5)])
def test_drawn_functions_have_the_moments_of_the_changed_model(change):
    model = change(DEFAULT)
    draws = torch.stack([model.draw_function(256, seed)(NEW) for seed in range(1500)])
    mean, covariance = model.mean_and_covariance(NEW)
    std = covariance.diagonal().sqrt()
    assert ((draws.mean(0) - mean).abs() < 0.12 * std).all()
    assert ((draws.T.cov() - covariance) / std / std[:, None]).abs().max() < 0.15


@pytest.mark.filterwarnings("ignore")
def test_conditioning_a_stock_gp_is_botorchs_at_the_posterior_mean():
    stock = SingleTaskGP(X / 3, Y, outcome_transform=None).eval()
    model = as_surrogate_model(stock)
    means = stock.posterior(PENDING / 3).mean
    theirs = stock.condition_on_observations(PENDING / 3, means).posterior(NEW / 3)
    ours = model.condition_on_pending(PENDING / 3).posterior(NEW / 3)
    assert torch.allclose(ours.mean, theirs.mean, atol=1e-5)
    assert torch.allclose(ours.variance, theirs.variance, rtol=1e-3)
    assert torch.allclose(
        model.posterior(NEW[:, None] / 3).variance.flatten(), stock.posterior(NEW / 3).variance.flatten()
    )


@pytest.mark.filterwarnings("ignore")
def test_several_targets_of_a_stock_gp_become_several_models():
    both = as_surrogate_model(SingleTaskGP(X / 3, torch.cat([Y, -Y], dim=1)))
    means = [model.mean_and_variance(NEW / 3)[0] for model in both.models]
    assert torch.allclose(means[0], -means[1], atol=1e-6)
    assert as_surrogate_model(both.models[0]) is both.models[0]


def test_an_ensemble_is_replaced_by_the_normal_distribution_of_its_moments_where_it_is_conditioned():
    model = as_surrogate_model(SumEnsemble())
    assert not model.has_normal_posterior
    sums = NEW.sum(-1)
    mean, covariance = model.mean_and_covariance(NEW)
    assert torch.allclose(mean, 2 * sums)
    assert torch.allclose(covariance, sums[:, None] * sums)  # the members' sample variance is 1
    conditioned = model.condition_on_pending(PENDING)
    assert isinstance(conditioned, NormalModel)
    assert conditioned.has_normal_posterior
    assert (conditioned.mean_and_variance(NEW)[1] < 1e-3 * covariance.diagonal()).all()  # one row determines the others


def test_changed_models_survive_pickling():
    model = DEFAULT.condition_on_pending(PENDING).rescaled(2.0)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again.mean_and_variance(NEW)[1], model.mean_and_variance(NEW)[1])
