import pickle

import pytest
import torch
from botorch.acquisition import qProbabilityOfImprovement
from botorch.acquisition.analytic import LogProbabilityOfImprovement

from al_loop.acquisitions._samplers import sampler_of
from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.pi import PI
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.gp import ExactGP
from tests.support.models import SumEnsemble

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def test_it_is_the_log_of_the_normal_tail_and_botorchs_value():
    mean, variance = MODEL.mean_and_variance(Xs)
    value = PI(margin=0.5).build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    tail = torch.distributions.Normal(mean, variance.sqrt()).cdf(2 * mean - BEST - 0.5)  # by symmetry about the mean
    assert value.dtype == torch.float64
    assert torch.allclose(value.exp(), tail, rtol=1e-9)
    theirs = LogProbabilityOfImprovement(MODEL, best_f=BEST + 0.5)(Xs.unsqueeze(1))
    assert torch.allclose(value, theirs, atol=1e-9)


def test_pending_objects_are_believed_at_their_mean():
    best = max(BEST, float(MODEL.mean_and_variance(Xs[:2])[0].max()))
    expected = LogProbabilityOfImprovement(MODEL.condition_on_pending(Xs[:2]), best_f=best)(Xs.unsqueeze(1))
    assert torch.allclose(PI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1)), expected, atol=1e-9)


def test_pending_objects_lower_the_value_near_them_and_nowhere_raise_it():
    before = PI().build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    after = PI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1))
    assert (after <= before + 1e-9).all()
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert torch.equal(PI().build(MODEL, AcquisitionContext(X, BEST, Xs[:0]))(Xs.unsqueeze(1)), before)


def test_a_larger_margin_is_less_likely():
    small, large = (PI(margin=m).build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1)) for m in (0.1, 1000.0))
    assert (small > large).all()
    assert large.isfinite().all()


def test_it_travels_to_other_processes():
    acquisition = PI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), acquisition(Xs.unsqueeze(1)))


def test_without_normal_posteriors_it_is_botorchs_from_samples():
    model = as_surrogate_model(SumEnsemble())
    value = PI(n_samples=64).build(model, AcquisitionContext(X[:, :3], BEST, Xs[:2, :3]))(Xs[:, None, :3])
    sampler = sampler_of(model, X[:1, :3], 64, 0)
    theirs = qProbabilityOfImprovement(model, BEST, sampler=sampler, X_pending=Xs[:2, :3])(Xs[:, None, :3])
    assert torch.allclose(value.exp(), theirs, rtol=1e-9)


def test_the_margin_must_not_be_negative():
    with pytest.raises(ValueError, match="margin"):
        PI(margin=-1)
