import pytest
import torch
from botorch.acquisition import qUpperConfidenceBound

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.ucb import UCB
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.gp import ExactGP
from tests.support.models import SumEnsemble

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X.sum(-1, keepdim=True) + 10
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()


def test_ucb_is_the_mean_plus_kappa_standard_deviations():
    model = ExactGP(kernel="tanimoto").fit(X, Y)
    mean, variance = model.mean_and_variance(Xs)
    value = UCB(kappa=1.7).build(model, AcquisitionContext(X, 0.0))(Xs.unsqueeze(1))
    assert torch.allclose(value, mean + 1.7 * variance.sqrt())


def test_pending_objects_lower_the_value_near_them_and_nowhere_raise_it():
    model = ExactGP(kernel="tanimoto").fit(X, Y)
    before = UCB().build(model, AcquisitionContext(X, 0.0))(Xs.unsqueeze(1))
    after = UCB().build(model, AcquisitionContext(X, 0.0, Xs[:2]))(Xs.unsqueeze(1))
    assert (after <= before + 1e-9).all()
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert torch.equal(UCB().build(model, AcquisitionContext(X, 0.0, Xs[:0]))(Xs.unsqueeze(1)), before)


def test_without_normal_posteriors_it_is_botorchs_batch_form():
    model = as_surrogate_model(SumEnsemble())
    assert isinstance(UCB().build(model, AcquisitionContext(X, 0.0, Xs[:2])), qUpperConfidenceBound)


def test_kappa_must_be_positive():
    with pytest.raises(ValueError, match="kappa"):
        UCB(kappa=0)
