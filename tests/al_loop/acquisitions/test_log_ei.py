import pickle

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.log_ei import LogEI
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.gp import ExactGP
from tests.support.models import SumEnsemble

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def test_without_pending_objects_it_is_botorchs_value_and_a_normal_integral():
    value = LogEI().build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    assert value.dtype == torch.float64
    assert torch.allclose(value, LogExpectedImprovement(MODEL, best_f=BEST)(Xs.unsqueeze(1)), atol=1e-9)
    mean, variance = MODEL.mean_and_variance(Xs)
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    improvement = (mean[:, None] + variance.sqrt()[:, None] * z - BEST).clamp_min(0)
    density = (-0.5 * z * z).exp() / (2 * torch.pi) ** 0.5
    assert torch.allclose(value.exp(), torch.trapezoid(improvement * density, z), rtol=1e-6)


def test_pending_objects_are_believed_at_their_mean():
    best = max(BEST, float(MODEL.mean_and_variance(Xs[:2])[0].max()))
    expected = LogExpectedImprovement(MODEL.condition_on_pending(Xs[:2]), best_f=best)(Xs.unsqueeze(1))
    assert torch.allclose(
        LogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1)), expected, atol=1e-9
    )


def test_a_believed_mean_above_the_best_becomes_the_best():
    low = float(MODEL.mean_and_variance(Xs[:1])[0]) - 1.0
    expected = LogExpectedImprovement(MODEL.condition_on_pending(Xs[:1]), best_f=low + 1.0)(Xs.unsqueeze(1))
    assert torch.allclose(
        LogEI().build(MODEL, AcquisitionContext(X, low, Xs[:1]))(Xs.unsqueeze(1)), expected, atol=1e-9
    )


def test_pending_objects_lower_the_value_near_them_and_nowhere_raise_it():
    before = LogEI().build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    after = LogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1))
    assert (after <= before + 1e-9).all()
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert torch.equal(LogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:0]))(Xs.unsqueeze(1)), before)


def test_it_falls_as_the_best_rises():
    values = [
        LogEI().build(MODEL, AcquisitionContext(X, best))(Xs.unsqueeze(1)) for best in (BEST, BEST + 1, BEST + 1000)
    ]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()
    assert values[2].isfinite().all()


def test_it_travels_to_other_processes():
    acquisition = LogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), acquisition(Xs.unsqueeze(1)))


def test_without_normal_posteriors_it_is_botorchs_from_samples():
    model = as_surrogate_model(SumEnsemble())
    acquisition = LogEI(n_samples=16, seed=3).build(model, AcquisitionContext(X[:, :3], BEST, Xs[:2, :3]))
    assert isinstance(acquisition, qLogExpectedImprovement)
    assert torch.equal(acquisition.X_pending, Xs[:2, :3])
    assert acquisition(Xs[:, None, :3]).isfinite().all()
