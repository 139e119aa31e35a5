import math

import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.acquisition.logei import qLogExpectedImprovement
from botorch.sampling.normal import SobolQMCNormalSampler

from al_loop.acquisitions.base import AcquisitionContext
from al_loop.acquisitions.qlogei import QLogEI
from al_loop.surrogates.gp import ExactGP

X = torch.randint(0, 4, (12, 30), generator=torch.Generator().manual_seed(0)).double()
Y = X[:, :3].sum(-1, keepdim=True)
Xs = torch.randint(0, 4, (6, 30), generator=torch.Generator().manual_seed(1)).double()
BEST = float(Y.median())
MODEL = ExactGP(kernel="tanimoto").fit(X, Y)


def test_without_pending_objects_it_is_the_analytic_value():
    value = QLogEI(n_samples=2048).build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1))
    assert torch.allclose(value, LogExpectedImprovement(MODEL, best_f=BEST)(Xs.unsqueeze(1)), atol=0.02)


def test_with_pending_objects_it_is_botorchs_value():
    sampler = SobolQMCNormalSampler(torch.Size([128]), seed=0)
    theirs = qLogExpectedImprovement(MODEL, best_f=BEST, sampler=sampler, X_pending=Xs[:2])
    ours = QLogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))
    assert torch.allclose(ours(Xs.unsqueeze(1)), theirs(Xs.unsqueeze(1)), atol=1e-3)


def test_a_pending_object_adds_least_to_itself():
    value = QLogEI(n_samples=512).build(MODEL, AcquisitionContext(X, BEST, Xs[:1]))(Xs.unsqueeze(1)).exp()
    alone = QLogEI(n_samples=512).build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1)).exp()
    gained = value - alone[0]  # beside what the pending object promises without company
    assert gained[0] < 0.1 * gained[1:].min()


def test_values_are_the_same_in_any_company_and_call():
    acquisition = QLogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))
    value = acquisition(Xs.unsqueeze(1))
    assert torch.allclose(acquisition(Xs[3:].unsqueeze(1)), value[3:])
    assert torch.equal(QLogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:2]))(Xs.unsqueeze(1)), value)
    assert math.isfinite(float(value.sum()))
    assert torch.equal(
        QLogEI().build(MODEL, AcquisitionContext(X, BEST, Xs[:0]))(Xs.unsqueeze(1)),
        QLogEI().build(MODEL, AcquisitionContext(X, BEST))(Xs.unsqueeze(1)),
    )
