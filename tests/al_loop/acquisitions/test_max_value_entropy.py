import math
import pickle

import pytest
import torch
from botorch.acquisition.max_value_entropy_search import qLowerBoundMaxValueEntropy
from botorch.models import SingleTaskGP

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.max_value_entropy import InformationOnMaximum, MaxValueEntropy
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.gp import ExactGP

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (40, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def built(pending=None, model=MODEL, **options):
    return MaxValueEntropy(**options).build(model, AcquisitionContext(X, BEST, pending, Xs))


@pytest.mark.parametrize("pending", [None, Xs[:2]])
def test_it_is_the_log_of_botorchs_value_for_the_same_maxima(pending):
    ours = built(pending)
    theirs = qLowerBoundMaxValueEntropy(ours.model, Xs, num_mv_samples=32)
    theirs.posterior_max_values = ours.maxima[:, None]
    value = ours(Xs.unsqueeze(1))
    assert value.dtype == torch.float64
    assert torch.allclose(value.exp(), theirs(Xs.unsqueeze(1)), atol=1e-9, rtol=1e-6)


def test_the_maxima_are_those_of_the_joint_posterior():
    everything = torch.unique(torch.cat([X, Xs]), dim=0)
    posterior = MODEL.posterior(everything)
    L = torch.linalg.cholesky(posterior.distribution.covariance_matrix)
    z = torch.randn(100_000, len(L), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    drawn = (posterior.mean.squeeze(-1) + z @ L.T).max(-1).values
    maxima = built(n_samples=2048).maxima
    assert maxima.mean().item() == pytest.approx(drawn.mean().item(), abs=0.03 * drawn.std().item())
    assert maxima.std().item() == pytest.approx(drawn.std().item(), rel=0.05)


def test_without_noise_the_bound_lies_below_the_information_of_truncation():
    # the entropy of a normal variable falls by g r / 2 - log Phi(g) where it is cut off above at g
    g = torch.linspace(-6, 6, 49, dtype=torch.float64)
    r = torch.exp(-0.5 * g * g) / math.sqrt(2 * math.pi) / torch.special.ndtr(g)
    exact = g * r / 2 - torch.special.log_ndtr(g)

    class Normal(torch.nn.Module):
        noise_variance = 0.0

        def posterior(self, X):
            return type("P", (), {"mean": X, "variance": torch.ones_like(X)})

    value = torch.stack([InformationOnMaximum(Normal(), m[None])(torch.zeros(1, 1, 1))[0] for m in g])
    assert (value.exp() <= exact + 1e-12).all()
    assert (value.exp()[g > 0] >= 0.7 * exact[g > 0]).all()


@pytest.mark.parametrize("distance", [1e2, 1e4, -1e2, -1e5])
def test_far_from_the_maximum_values_are_finite_and_in_order(distance):
    value = InformationOnMaximum(MODEL, torch.tensor([BEST + distance]).double())(Xs.unsqueeze(1))
    assert value.isfinite().all()
    further = InformationOnMaximum(MODEL, torch.tensor([BEST + 2 * distance]).double())(Xs.unsqueeze(1))
    assert ((further < value) if distance > 0 else (further >= value - 1e-6)).all()


def test_pending_objects_lower_the_value_near_them():
    before, after = built()(Xs.unsqueeze(1)), built(Xs[:2])(Xs.unsqueeze(1))
    assert (before - after)[:2].min() > (before - after)[2:].max()
    assert (before - after)[:2].min() > 0
    assert torch.equal(built(Xs[:0])(Xs.unsqueeze(1)), before)


def test_candidates_raise_the_maximum_that_is_asked_about():
    alone = MaxValueEntropy().build(MODEL, AcquisitionContext(X, BEST))
    assert alone.maxima.mean() < built().maxima.mean()


def test_it_travels_to_other_processes_and_is_the_same_each_time():
    acquisition = built(Xs[:2])
    value = acquisition(Xs.unsqueeze(1))
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), value)
    assert torch.equal(built(Xs[:2])(Xs.unsqueeze(1)), value)


@pytest.mark.filterwarnings("ignore")
def test_on_a_botorch_gp_it_is_botorchs_value_for_the_same_maxima():
    stock = SingleTaskGP(X[:, :3], Y)
    ours = MaxValueEntropy().build(as_surrogate_model(stock), AcquisitionContext(X[:, :3], BEST, None, Xs[:, :3]))
    theirs = qLowerBoundMaxValueEntropy(stock, Xs[:, :3])
    theirs.posterior_max_values = ours.maxima[:, None]
    assert torch.allclose(ours(Xs[:, None, :3]).exp(), theirs(Xs[:, None, :3]), rtol=1e-6, atol=1e-9)
