import math
import pickle

import pytest
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.sampling.normal import SobolQMCNormalSampler

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.log_ei import LogEI
from al_loop.acquisitions.qlognei import QLogNEI, log_improvement
from al_loop.surrogates.base import as_surrogate_model
from al_loop.surrogates.gp import ExactGP

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randint(0, 4, (12, 30), generator=GENERATOR).double()
Y = X[:, :3].sum(-1, keepdim=True) + torch.randn(12, 1, generator=GENERATOR, dtype=torch.float64)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.max())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def botorchs(n_samples, **options):
    sampler = SobolQMCNormalSampler(torch.Size([n_samples]), seed=0)
    # the smoothing of maximum and improvement is turned off as far as it goes
    smooth = {"tau_max": 1e-4, "tau_relu": 1e-6, "fat": False}
    return qLogNoisyExpectedImprovement(
        MODEL, X, sampler=sampler, prune_baseline=False, cache_root=False, **smooth, **options
    )(Xs.unsqueeze(1))


def by_plain_sampling(X_pending=None):
    """E max(f(x) - max f(baseline), 0) from dense joint samples, one object at a time."""
    base = X if X_pending is None else torch.cat([X, X_pending])
    values = []
    for x in Xs:
        posterior = MODEL.posterior(torch.cat([x[None], base]))
        L = torch.linalg.cholesky(posterior.distribution.covariance_matrix)
        z = torch.randn(200_000, len(L), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        f = posterior.mean.squeeze(-1) + z @ L.T
        values.append((f[:, 0] - f[:, 1:].max(-1).values).clamp_min(0).mean())
    return torch.stack(values)


@pytest.mark.parametrize("pending", [None, Xs[:2]])
def test_it_is_botorchs_value_and_that_of_plain_sampling(pending):
    value = QLogNEI(n_samples=2048, prune_baseline=False).build(MODEL, AcquisitionContext(X, BEST, pending))(
        Xs.unsqueeze(1)
    )
    assert value.dtype == torch.float64
    other = slice(0 if pending is None else 2, None)  # at a pending object nothing is left to gain
    assert torch.allclose(value[other], botorchs(4096, X_pending=pending)[other], atol=0.05)
    assert torch.allclose(value.exp()[other], by_plain_sampling(pending)[other], rtol=0.03)


def test_pruning_leaves_the_value_what_it_is_where_few_can_be_the_best():
    full = QLogNEI(n_samples=2048, prune_baseline=False).build(MODEL, AcquisitionContext(X, BEST))
    pruned = QLogNEI(n_samples=2048).build(MODEL, AcquisitionContext(X, BEST))
    assert len(pruned._best) == 2048
    assert pruned.baseline.values.shape[1] <= full.baseline.values.shape[1]
    # knowing fewer true values leaves a little more to be gained, nothing else changes
    assert torch.allclose(pruned(Xs.unsqueeze(1)), full(Xs.unsqueeze(1)), atol=0.15)


def test_nothing_is_left_to_gain_at_a_pending_object():
    before = QLogNEI().build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    after = QLogNEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:1]))(Xs.unsqueeze(1))
    assert (before - after)[0] > 3
    assert (before - after)[0] > (before - after)[1:].max()
    assert (after <= before + 0.05).all()
    assert torch.equal(QLogNEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:0]))(Xs.unsqueeze(1)), before)


def test_without_noise_it_is_log_expected_improvement():
    Z = X[:, :3].sum(-1, keepdim=True)
    model = ExactGP(kernel="tanimoto", noise_ratio=1e-4, noise_spread=0.01).fit(X, Z)
    value = QLogNEI(n_samples=512).build(model, AcquisitionContext(X, float(Z.max())))(Xs.unsqueeze(1))
    assert torch.allclose(
        value, LogEI().build(model, AcquisitionContext(X, float(Z.max())))(Xs.unsqueeze(1)), atol=0.05
    )


def test_values_are_the_same_in_any_company_and_process():
    acquisition = QLogNEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))
    value = acquisition(Xs.unsqueeze(1))
    assert torch.allclose(acquisition(Xs[3:].unsqueeze(1)), value[3:])
    assert torch.equal(pickle.loads(pickle.dumps(acquisition))(Xs.unsqueeze(1)), value)
    assert torch.equal(QLogNEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1)), value)


def test_one_measurement_is_enough():
    model = ExactGP(kernel="tanimoto").fit(X[:1], Y[:1])
    assert QLogNEI().build(model, AcquisitionContext(X[:1], 0.0))(Xs.unsqueeze(1)).isfinite().all()


def test_the_log_of_the_improvement_holds_in_the_tails():
    from scipy.integrate import quad

    for u in (-30.0, -5.0, -1.001, -0.999, 0.0, 4.0):
        # with the density's value at -u taken out, the integral does not vanish
        integral = quad(lambda t, u=u: t * math.exp(-t * (t - 2 * u) / 2), 0, 40)[0]
        expected = math.log(integral) - u * u / 2 - 0.5 * math.log(2 * math.pi)
        assert log_improvement(torch.tensor(u).double()).item() == pytest.approx(expected, abs=1e-6)
    across = log_improvement(torch.tensor([-1000.001, -999.999], dtype=torch.float64))
    assert (across[1] - across[0]).item() == pytest.approx(2.0, rel=1e-4)
    assert log_improvement(torch.tensor(-1e8).double()).isfinite()


@pytest.mark.filterwarnings("ignore")
def test_other_models_get_botorchs_own():
    stock = SingleTaskGP(X[:, :3], Y)
    acquisition = QLogNEI(n_samples=16).build(as_surrogate_model(stock), AcquisitionContext(X[:, :3], BEST, Xs[:2, :3]))
    assert isinstance(acquisition, qLogNoisyExpectedImprovement)
    assert torch.equal(acquisition.X_baseline[-2:], Xs[:2, :3])
    assert acquisition(Xs[:, None, :3]).shape == (6,)
