import pickle

import pytest
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.models import SingleTaskGP

from al_loop.acquisitions.log_ei import LogEI
from al_loop.surrogates.gp import ExactGP

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def test_without_pending_objects_it_is_botorchs_value_and_a_normal_integral():
    value = LogEI().build(MODEL, X, None, BEST)(Xs.unsqueeze(1))
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
    assert torch.allclose(LogEI().build(MODEL, X, Xs[:2], BEST)(Xs.unsqueeze(1)), expected, atol=1e-9)


def test_a_believed_mean_above_the_best_becomes_the_best():
    low = float(MODEL.mean_and_variance(Xs[:1])[0]) - 1.0
    expected = LogExpectedImprovement(MODEL.condition_on_pending(Xs[:1]), best_f=low + 1.0)(Xs.unsqueeze(1))
    assert torch.allclose(LogEI().build(MODEL, X, Xs[:1], low)(Xs.unsqueeze(1)), expected, atol=1e-9)


def test_pending_objects_lower_the_value_near_them_and_nowhere_raise_it():
    before = LogEI().build(MODEL, X, None, BEST)(Xs.unsqueeze(1))
    after = LogEI().build(MODEL, X, Xs[:2], BEST)(Xs.unsqueeze(1))
    assert (after <= before + 1e-9).all()
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert torch.equal(LogEI().build(MODEL, X, Xs[:0], BEST)(Xs.unsqueeze(1)), before)


def test_it_falls_as_the_best_rises():
    values = [LogEI().build(MODEL, X, None, best)(Xs.unsqueeze(1)) for best in (BEST, BEST + 1, BEST + 1000)]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()
    assert values[2].isfinite().all()


def test_it_travels_to_other_processes():
    acquisition = LogEI().build(MODEL, X, Xs[:2], BEST)
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), acquisition(Xs.unsqueeze(1)))


@pytest.mark.filterwarnings("ignore")
def test_other_models_take_pending_objects_in_botorchs_way():
    stock = SingleTaskGP(X[:, :3], Y)
    acquisition = LogEI(n_samples=16, seed=3).build(stock, X[:, :3], Xs[:2, :3], BEST)
    assert isinstance(acquisition, qLogExpectedImprovement)
    assert torch.equal(acquisition.X_pending, Xs[:2, :3])
